/**
 * A query that failed, without what it was asked with: neither the statement nor a parameter is kept, and the
 * server's message only for classes of error whose message cannot quote a value.
 */
export class QueryError extends Error {
  override readonly name = 'QueryError';

  constructor(
    message: string,
    /** The SQLSTATE, or the network's code (`ECONNREFUSED`, ...), or `timeout`, `connection_lost`. */
    readonly code: string,
    readonly constraint: string | null,
    /** The database could not answer, whatever was asked: worth trying again later. */
    readonly unavailable: boolean,
  ) {
    super(message);
  }
}

/** Their messages name objects of the schema, never values; other classes (22: data) may quote what was sent. */
const SPEAKING_CLASSES = new Set([
  '08',
  '23',
  '25',
  '28',
  '3D',
  '40',
  '42',
  '53',
  '55',
  '57',
  'P0',
]);

/**
 * 08 connection, 53 resources, 57P server going or coming, 57014 time limit, 25006 a replica that cannot write.
 */
const UNAVAILABLE_STATE = /^(?:08|53|57P|57014|25006)/;

const UNAVAILABLE_ERRNO = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
]);

/** pg and TypeORM have no codes for these; the words are fixed in their sources. */
const LOST_CONNECTION =
  /^(?:Connection terminated|Client (?:has encountered|was closed)|Cannot use a pool|Query runner already released|Driver not Connected)/i;
const TIMEOUT =
  /^(?:timeout exceeded when trying to connect|Query read timeout|Connection terminated due to connection timeout)/i;

/** Reduces whatever a driver threw to a `QueryError`; leaves errors that are not the driver's as they are. */
export function toQueryError(error: unknown): unknown {
  if (error instanceof QueryError || !(error instanceof Error)) return error;
  const state = sqlStateOf(error);
  if (state !== null) {
    const { constraint } = error as { constraint?: string };
    const said = SPEAKING_CLASSES.has(state.slice(0, 2)) ? `: ${error.message}` : '';
    return new QueryError(
      `The database refused a query (${state})${said}`,
      state,
      constraint ?? null,
      UNAVAILABLE_STATE.test(state),
    );
  }
  const code = networkCodeOf(error);
  if (code === null) return error;
  return new QueryError(`The database could not be reached (${code})`, code, null, true);
}

/** The SQLSTATE of an error, null where it has none. */
export function sqlStateOf(error: unknown): string | null {
  const { code } = (error ?? {}) as { code?: unknown };
  // A digit tells `23505` and `P0001` from `EPIPE`.
  return typeof code === 'string' && /^(?=.*\d)[0-9A-Z]{5}$/.test(code) ? code : null;
}

/** True where the database could not answer, whatever was asked; false where it answered with a refusal. */
export function isUnavailable(error: unknown): boolean {
  const reduced = toQueryError(error);
  return reduced instanceof QueryError && reduced.unavailable;
}

const STATEMENT_TOO_SLOW = '57014';

/**
 * True where nobody can be served. What only takes too long, such as a lock that somebody holds, is one
 * organization's matter: for work that goes through many.
 */
export function isAway(error: unknown): boolean {
  const reduced = toQueryError(error);
  const isSlow = reduced instanceof QueryError && reduced.code === STATEMENT_TOO_SLOW;
  return !isSlow && isUnavailable(reduced);
}

function networkCodeOf(error: Error): string | null {
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && UNAVAILABLE_ERRNO.has(code)) return code;
  if (TIMEOUT.test(error.message)) return 'timeout';
  return LOST_CONNECTION.test(error.message) ? 'connection_lost' : null;
}
