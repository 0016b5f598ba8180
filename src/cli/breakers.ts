import { request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import { loadConfig, type AppConfig } from '../config/app-config.js';
import { OTHER_MODELS, STATE_VALUES } from '../modules/resilience/resilience-metrics.js';
import { CliError, text, type Arguments } from './arguments.js';
import type { Command, Output } from './command.js';
import { shortTime, table } from './table.js';

const ANSWER_MS_MAX = 3_000;
const ANSWER_CHARS_MAX = 8_000_000;
const ROWS_MAX = 2_000;
const EVERY_ADDRESS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

const breakers: Command = {
  name: 'breakers',
  summary:
    'The breakers of the running server: which models it keeps calls away from, and since when',
  usage: [
    '--url <address>  the server, where it is not the one of this environment (default: HOST and PORT)',
    '                 off this machine it asks for SHUNT_METRICS_TOKEN',
  ],
  options: { url: { type: 'string' } },
  runAlone: ask,
  run: (_session, args) => ask(args),
};

/** The process itself: its database may be away, and is not what is asked. */
async function ask(args: Arguments): Promise<Output> {
  const config = loadConfig();
  const origin = text(args, 'url')?.replace(/\/+$/, '') ?? ownOrigin(config);
  return shown(readBreakers(await metricsOf(origin, config.metricsToken)), origin);
}

export interface ShownBreaker {
  readonly provider: string;
  readonly model: string;
  readonly environment: string;
  readonly state: string;
  readonly openFor: 'nobody' | 'some' | 'all';
  readonly since: Date;
  readonly succeeded: number;
  readonly failed: number;
}

/**
 * Breakers live in the memory of the processes that serve calls, so one of them must be asked: its `/metrics`, which
 * it gives to this machine without a key.
 */
export async function metricsOf(origin: string, token: string | null): Promise<string> {
  let answer: { readonly status: number; readonly body: string };
  try {
    answer = await get(`${origin}/metrics`, token);
  } catch {
    throw new CliError(
      `No server answers at ${origin}. Breakers live in the processes that serve calls, and end with them: ` +
        'start the server (npm start), or name a running one with --url.',
    );
  }
  if (answer.status === 401) {
    throw new CliError(
      'The server wants SHUNT_METRICS_TOKEN: set it here as it is set there, or ask on its own machine.',
    );
  }
  if (answer.status !== 200)
    throw new CliError(`${origin}/metrics answered ${answer.status}: is it a Shunt server?`);
  return answer.body;
}

function get(url: string, token: string | null): Promise<{ status: number; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
  const send = url.startsWith('https:') ? requestTls : requestPlain;
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  const signal = AbortSignal.timeout(ANSWER_MS_MAX);
  const request = send(url, { headers, signal }, (response) => {
    let body = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      body += chunk;
      if (body.length > ANSWER_CHARS_MAX) request.destroy(new Error('too long an answer'));
    });
    response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    response.on('error', reject);
  });
  request.on('error', reject);
  request.end();
  return promise;
}

/** Where this environment's server listens, seen from its own machine. */
function ownOrigin({ tls, host, port }: AppConfig): string {
  const address = EVERY_ADDRESS.has(host) ? '127.0.0.1' : host;
  return `${tls === null ? 'http' : 'https'}://${address.includes(':') ? `[${address}]` : address}:${port}`;
}

const SAMPLE = /^shunt_breaker_(state|open_for_all|since_seconds|recent_outcomes)\{(.*)\} (\S+)$/gm;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** The breakers in an answer of `/metrics`; null where it is of a process that has none. */
export function readBreakers(metrics: string): readonly ShownBreaker[] | null {
  if (!metrics.includes('# TYPE shunt_breaker_state ')) return null;
  const found = new Map<string, Record<string, string>>();
  for (const [, name = '', labels = '', value = ''] of metrics.matchAll(SAMPLE)) {
    const of = labelsOf(labels);
    const key = JSON.stringify([of['provider'], of['model'], of['environment']]);
    const row = found.get(key) ?? of;
    row[name === 'recent_outcomes' ? (of['outcome'] ?? '') : name] = value;
    if (found.size < ROWS_MAX) found.set(key, row);
  }
  return [...found.values()].map(breakerFrom);
}

function breakerFrom(row: Readonly<Record<string, string>>): ShownBreaker {
  const number = (name: string): number => Number(row[name] ?? 0);
  const state =
    Object.entries(STATE_VALUES).find(([, value]) => value === number('state'))?.[0] ?? 'closed';
  const openFor = number('open_for_all') === 1 ? 'all' : 'some';
  return {
    provider: row['provider'] ?? '',
    model: row['model'] ?? '',
    environment: row['environment'] ?? '',
    state,
    openFor: state === 'closed' ? 'nobody' : openFor,
    since: new Date(number('since_seconds') * 1_000),
    succeeded: number('succeeded'),
    failed: number('failed'),
  };
}

function labelsOf(labels: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [, name = '', value = ''] of labels.matchAll(LABEL))
    found[name] = value.replaceAll(/\\(["\\])/g, '$1');
  return found;
}

const STATES: Readonly<Record<string, string>> = { half_open: 'half-open' };

export function shown(found: readonly ShownBreaker[] | null, origin: string): Output {
  if (found === null) {
    throw new CliError(
      `The process at ${origin} has no breakers: it serves no calls. Ask one that does, with --url.`,
    );
  }
  const json = found.map(({ openFor, since, succeeded, failed, ...breaker }) => ({
    ...breaker,
    open_for: openFor,
    since: since.toISOString(),
    recent_succeeded: succeeded,
    recent_failed: failed,
  }));
  if (found.length === 0)
    return { json, text: `No model has been called through ${origin} yet: no breakers.` };
  const rows = found.map((breaker) => [
    breaker.provider,
    breaker.model === OTHER_MODELS ? '(outside the catalogue)' : breaker.model,
    breaker.environment,
    STATES[breaker.state] ?? breaker.state,
    breaker.openFor,
    shortTime(breaker.since),
    String(breaker.succeeded),
    String(breaker.failed),
  ]);
  const headings = ['provider', 'model', 'calls', 'state', 'open for', 'since', 'ok', 'failed'];
  return {
    json,
    text: [
      table(headings, rows),
      '',
      'ok and failed: calls that ended in the last minute. Open for some: for those whose own calls fail.',
    ].join('\n'),
  };
}

export const breakerCommands: readonly Command[] = [breakers];
