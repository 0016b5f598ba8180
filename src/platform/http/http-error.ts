import { HttpException } from '@nestjs/common';

/** An error of the dashboard's and the admin API: a stable code, and words that say what to do. Never content. */
export class HttpError extends HttpException {
  constructor(
    status: number,
    readonly code: string,
    message: string,
    /** Seconds; sent as `retry-after`. */
    readonly retryAfterSeconds: number | null = null,
    /** Further members of the answer. */
    facts: Readonly<Record<string, string>> = {},
  ) {
    super({ error: { code, message, ...facts } }, status);
  }
}
