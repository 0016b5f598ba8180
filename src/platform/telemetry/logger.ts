import { pino, type Logger } from 'pino';

export type { Logger } from 'pino';

/** Keys whose values never reach a log, at the top of an entry or one level down. */
const SECRET_FIELDS = [
  'authorization',
  'cookie',
  'password',
  'secret',
  'token',
  'apiKey',
  'key',
  'body',
  'headers',
  'url',
  'parameters',
  'query',
];

/**
 * Structured logs, one JSON object per line on standard output. Errors are reduced to name, code and
 * place wherever in an entry they stand: a message of somebody else's may quote content.
 */
export function createLogger(level: string, destination?: NodeJS.WritableStream): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]),
        censor: '[redacted]',
      },
      serializers: { err: safeError, error: safeError },
      formatters: { log: withoutErrors },
      hooks: {
        logMethod(args, method) {
          method.apply(this, withoutMessages(args) as typeof args);
        },
      },
    },
    destination ?? pino.destination({ dest: 1, sync: true }),
  );
}

/** What pino writes as the entry's text where none is given, or formats into it: never an error's message. */
function withoutMessages([first, ...texts]: readonly unknown[]): unknown[] {
  const said = texts.map((text) => (text instanceof Error ? text.name : text));
  if (first instanceof Error) return [{ err: first }, ...(said.length > 0 ? said : [first.name])];
  const { err } = (typeof first === 'object' && first !== null ? first : {}) as { err?: unknown };
  return said.length === 0 && err instanceof Error ? [first, err.name] : [first, ...said];
}

/** Under whatever name an error comes. */
function withoutErrors(entry: Record<string, unknown>): Record<string, unknown> {
  if (!Object.values(entry).some((value) => value instanceof Error)) return entry;
  const pairs = Object.entries(entry);
  return Object.fromEntries(
    pairs.map(([name, value]) => [name, value instanceof Error ? safeError(value) : value]),
  );
}

/** What `safeError` made: the logger meets it a second time where a caller has reduced an error already. */
const reduced = new WeakSet<object>();

/** What may be said of an error of unknown origin: its class, its code, where it was thrown; never its message. */
export function safeError(error: unknown): Record<string, unknown> {
  if (typeof error === 'object' && error !== null && reduced.has(error)) return { ...error };
  const said = error instanceof Error ? describe(error) : { name: typeof error };
  reduced.add(said);
  return said;
}

function describe(error: Error): Record<string, unknown> {
  const { code } = error as { code?: unknown };
  return {
    name: error.name,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    at: framesOf(error),
  };
}

const FRAMES_MAX = 6;

/** The frames below the message, whose own lines may look like frames; none where the two cannot be told apart. */
function framesOf({ stack = '', message }: Error): string[] {
  const at = stack.indexOf(message);
  if (at < 0) return [];
  const lines = stack.slice(at + message.length).split('\n');
  const frames = lines.filter((line) => /^\s+at /.test(line));
  return frames.slice(0, FRAMES_MAX).map((line) => line.trim());
}
