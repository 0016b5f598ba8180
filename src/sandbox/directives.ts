/** The request header that steers the sandbox. No provider knows it. */
export const DIRECTIVE_HEADER = 'x-sandbox';

const HEADER_LENGTH_MAX = 8_192;
const ECHO_LENGTH_MAX = 4_096;

const ERRORS = ['quota', 'rate_limit', 'overloaded', 'credential', 'context'] as const;
export type DirectedError = (typeof ERRORS)[number];

const MOMENTS = ['before-headers', 'mid-stream'] as const;
export type Moment = (typeof MOMENTS)[number];

/** What the client asked of the sandbox itself; absent members leave the ordinary behaviour. */
export interface Directives {
  /** Milliseconds before the response headers. */
  latencyMs?: number;
  /** Milliseconds between two events of a stream. */
  chunkDelayMs?: number;
  /** How many pieces the text of a stream comes in. */
  chunks?: number;
  /** How many tokens of visible text are answered. */
  tokens?: number;
  status?: number;
  error?: DirectedError;
  retryAfterS?: number;
  close?: Moment;
  stall?: Moment;
  /** The answer is bytes that are no text at all. */
  garbage?: boolean;
  /** A 200 whose JSON is broken. */
  malformed?: boolean;
  /** An error event in a stream that began with 200. */
  streamError?: boolean;
  setCookie?: boolean;
  redirect?: boolean;
  gzip?: boolean;
  /** Bytes of text in one single event. */
  bigEventBytes?: number;
  /** Every byte is written by itself. */
  split?: boolean;
  /** Text that begins the completion. */
  echo?: string;
  noUsage?: boolean;
}

export type ParsedDirectives =
  | { readonly kind: 'directives'; readonly directives: Directives }
  /** `message` names the directive that cannot be obeyed. */
  | { readonly kind: 'refused'; readonly message: string };

type Reader = (value: string, into: Directives) => boolean;

const number =
  (from: number, to: number, set: (into: Directives, value: number) => void): Reader =>
  (value, into) => {
    if (!/^\d{1,9}$/.test(value)) return false;
    const read = Number(value);
    if (read < from || read > to) return false;
    set(into, read);
    return true;
  };

const oneOf =
  <T extends string>(words: readonly T[], set: (into: Directives, value: T) => void): Reader =>
  (value, into) => {
    const word = words.find((candidate) => candidate === value);
    if (word === undefined) return false;
    set(into, word);
    return true;
  };

const flag =
  (set: (into: Directives) => void): Reader =>
  (value, into) => {
    if (value !== '1') return false;
    set(into);
    return true;
  };

const MIB = 1_048_576;

const READERS: ReadonlyMap<string, Reader> = new Map([
  ['latency', number(0, 660_000, (into, value) => (into.latencyMs = value))],
  ['chunk-delay', number(0, 60_000, (into, value) => (into.chunkDelayMs = value))],
  ['chunks', number(1, 10_000, (into, value) => (into.chunks = value))],
  ['tokens', number(1, 100_000, (into, value) => (into.tokens = value))],
  ['status', number(400, 599, (into, value) => (into.status = value))],
  ['error', oneOf(ERRORS, (into, value) => (into.error = value))],
  ['retry-after', number(0, 86_400, (into, value) => (into.retryAfterS = value))],
  ['close', oneOf(MOMENTS, (into, value) => (into.close = value))],
  ['stall', oneOf(MOMENTS, (into, value) => (into.stall = value))],
  ['garbage', flag((into) => (into.garbage = true))],
  ['malformed', flag((into) => (into.malformed = true))],
  ['stream-error', flag((into) => (into.streamError = true))],
  ['set-cookie', flag((into) => (into.setCookie = true))],
  ['redirect', flag((into) => (into.redirect = true))],
  ['gzip', flag((into) => (into.gzip = true))],
  ['big-event', number(1, 64 * MIB, (into, value) => (into.bigEventBytes = value))],
  ['split', flag((into) => (into.split = true))],
  ['no-usage', flag((into) => (into.noUsage = true))],
  ['echo', readEcho],
]);

/** The names of all directives, for messages and documentation. */
export const DIRECTIVE_NAMES: readonly string[] = [...READERS.keys()];

const NONE: ParsedDirectives = { kind: 'directives', directives: Object.freeze({}) };

/**
 * Reads the comma list of the `x-sandbox` header, such as `latency=200,tokens=50`. The text of `echo` is
 * percent-encoded where it holds a comma. A list with anything unknown or out of bounds is refused as a whole.
 */
export function parseDirectives(header: string | undefined): ParsedDirectives {
  if (header === undefined || header === '') return NONE;
  if (header.length > HEADER_LENGTH_MAX) {
    return { kind: 'refused', message: `${DIRECTIVE_HEADER} is longer than ${HEADER_LENGTH_MAX}` };
  }
  const directives: Directives = {};
  for (const part of header.split(',')) {
    const equals = part.indexOf('=');
    const name = (equals === -1 ? part : part.slice(0, equals)).trim();
    const reader = READERS.get(name);
    if (reader === undefined) {
      return {
        kind: 'refused',
        message: `Unknown sandbox directive '${name}'; known: ${DIRECTIVE_NAMES.join(', ')}`,
      };
    }
    const value = equals === -1 ? '' : part.slice(equals + 1).trim();
    if (!reader(value, directives)) {
      return { kind: 'refused', message: `Sandbox directive '${name}' does not take this value` };
    }
  }
  return { kind: 'directives', directives };
}

function readEcho(value: string, into: Directives): boolean {
  if (value === '' || value.length > ECHO_LENGTH_MAX) return false;
  try {
    into.echo = decodeURIComponent(value);
    return true;
  } catch {
    return false;
  }
}
