/** The embedded server cannot be had here; the message ends in the way out. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError';

  constructor(reason: string, options?: ErrorOptions) {
    super(
      `The embedded Postgres cannot be used: ${reason}. Set DATABASE_URL to an existing Postgres instead.`,
      options,
    );
  }
}
