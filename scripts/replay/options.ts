import { parseArgs } from 'node:util';

export const APIS = ['openai', 'anthropic', 'google', 'groq'] as const;
export type Api = (typeof APIS)[number];

export interface ReplayOptions {
  readonly kind: 'options';
  readonly file: string;
  /** Calls started per second. */
  readonly rate: number;
  /** Rows to send; null for all. */
  readonly limit: number | null;
  /** Calls in flight at most. */
  readonly concurrency: number;
  /** The gateway's origin, without a slash at its end. */
  readonly url: string;
  readonly key: string;
  readonly api: Api;
  /** The model for every call; null takes the row's, or the API's default. */
  readonly model: string | null;
  /** The share of calls that stream, 0 to 1. */
  readonly streamShare: number;
  /** The most that a real upstream may cost, in US dollars; null where none was named. */
  readonly spendUsd: number | null;
  /** The longest answer asked for, in tokens. */
  readonly maxTokens: number;
  readonly json: boolean;
}

export type ParsedOptions =
  | ReplayOptions
  | { readonly kind: 'help' }
  /** `message` says what to write instead. */
  | { readonly kind: 'wrong'; readonly message: string };

const CONCURRENCY_MAX = 1_000;
const RATE_MAX = 10_000;
const MAX_TOKENS_MAX = 100_000;
const LIMIT_MAX = 100_000_000;

export const HELP = `Sends prompts from a file through a running gateway, at a steady rate, and says how it went.

  npm run replay -- --file prompts.jsonl.gz --rate 20

The file holds one JSON object a line, with "prompt" and, where wanted, "system", "tools" and "model".
A name that ends in .gz is unpacked on the way. Lines that cannot be used are counted, named and skipped.

  --file PATH       the prompts
  --rate N          calls started per second (default 10)
  --limit N         stop after N rows (default: all)
  --concurrency N   calls in flight at most (default 50)
  --url URL         the gateway (default http://127.0.0.1:8080)
  --key KEY         the project key; else SHUNT_KEY, else SHUNT_BOOTSTRAP_PROJECT_KEY
  --api NAME        openai (default), anthropic, google or groq
  --model NAME      the model for every call; else the row's, else a default of the API
  --stream SHARE    the share of calls that stream, from 0 (default) to 1
  --max-tokens N    the longest answer asked for (default 512)
  --spend USD       needed where calls reach a real provider: the most that they may cost
  --json            the summary as JSON
  --help            this text

Try it: start the gateway with "npm start", copy the project key that it prints, then

  SHUNT_KEY=... npm run replay -- --file prompts.jsonl --rate 5 --limit 100 --stream 0.5

The summary is written to the standard output, progress to the standard error. Ctrl-C stops, with the summary
so far. No call is ever repeated. The exit code is 0 when all calls succeeded, 1 when some failed, 2 when nothing
could be sent.
`;

/** Reads the command line; `env` is where a key may come from. */
export function parseOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ParsedOptions {
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        file: { type: 'string' },
        rate: { type: 'string' },
        limit: { type: 'string' },
        concurrency: { type: 'string' },
        url: { type: 'string' },
        key: { type: 'string' },
        api: { type: 'string' },
        model: { type: 'string' },
        stream: { type: 'string' },
        'max-tokens': { type: 'string' },
        spend: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    return wrong(error instanceof Error ? error.message : 'The command line cannot be read.');
  }
  if (values['help'] === true) return { kind: 'help' };
  const text = (name: string): string | null => {
    const value = values[name];
    return typeof value === 'string' && value !== '' ? value : null;
  };
  return checked(text, env, values['json'] === true);
}

function checked(
  text: (name: string) => string | null,
  env: Readonly<Record<string, string | undefined>>,
  json: boolean,
): ParsedOptions {
  const file = text('file');
  if (file === null) return wrong('Name the file with the prompts: --file prompts.jsonl');
  const key = text('key') ?? env['SHUNT_KEY'] ?? env['SHUNT_BOOTSTRAP_PROJECT_KEY'];
  if (!key) return wrong('Give the project key: --key, or SHUNT_KEY in the environment.');
  const api = APIS.find((name) => name === (text('api') ?? 'openai'));
  if (api === undefined) return wrong(`--api is one of ${APIS.join(', ')}.`);
  const url = originOf(text('url') ?? 'http://127.0.0.1:8080');
  if (url === null) return wrong('--url is an http or https URL, such as http://127.0.0.1:8080');
  const rate = numberOf(text('rate'), 10, 0.001, RATE_MAX);
  if (rate === null) return wrong(`--rate is a number of calls per second, up to ${RATE_MAX}.`);
  const concurrency = wholeOf(text('concurrency'), 50, 1, CONCURRENCY_MAX);
  if (concurrency === null) return wrong(`--concurrency is from 1 to ${CONCURRENCY_MAX}.`);
  const maxTokens = wholeOf(text('max-tokens'), 512, 16, MAX_TOKENS_MAX);
  if (maxTokens === null) return wrong(`--max-tokens is from 16 to ${MAX_TOKENS_MAX}.`);
  const limit = text('limit') === null ? null : wholeOf(text('limit'), 1, 1, LIMIT_MAX);
  if (limit === null && text('limit') !== null)
    return wrong('--limit is a number of rows, from 1.');
  const streamShare = numberOf(text('stream'), 0, 0, 1);
  if (streamShare === null) return wrong('--stream is a share from 0 to 1, such as 0.5');
  const spendUsd = text('spend') === null ? null : numberOf(text('spend'), 0, 0.000001, 1_000_000);
  if (spendUsd === null && text('spend') !== null) {
    return wrong('--spend is an amount in US dollars, such as 2.50');
  }
  const model = text('model');
  const rest = { file, rate, limit, concurrency, url, key, api, model, streamShare, spendUsd };
  return { kind: 'options', ...rest, maxTokens, json };
}

function wrong(message: string): ParsedOptions {
  return { kind: 'wrong', message };
}

function numberOf(text: string | null, absent: number, from: number, to: number): number | null {
  const value = text === null ? absent : Number(text);
  return Number.isFinite(value) && value >= from && value <= to ? value : null;
}

function wholeOf(text: string | null, absent: number, from: number, to: number): number | null {
  const value = numberOf(text, absent, from, to);
  return value !== null && Number.isInteger(value) ? value : null;
}

function originOf(text: string): string | null {
  try {
    const url = new URL(text);
    const isHttp = url.protocol === 'http:' || url.protocol === 'https:';
    return isHttp ? `${url.origin}${url.pathname.replace(/\/+$/, '')}` : null;
  } catch {
    return null;
  }
}
