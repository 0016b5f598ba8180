import { pino, type Logger } from 'pino';

export type { Logger } from 'pino';

export const LOGGER = Symbol('Logger');

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
 * place: a message of somebody else's may quote content.
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
    },
    destination ?? pino.destination({ dest: 1, sync: true }),
  );
}

/** What may be said of an error of unknown origin: its class, its code, where it was thrown; never its message. */
export function safeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { name: typeof error };
  const { code } = error as { code?: unknown };
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return {
    name: error.name,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    at: frames.slice(0, 6).map((line) => line.trim()),
  };
}
