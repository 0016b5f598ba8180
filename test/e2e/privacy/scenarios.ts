import { gzipSync } from 'node:zlib';
import type { Sent } from './call.js';
import { DIALECT_HEADER, MANNER_HEADER, NOTE_HEADER, type Manner } from './mouthpiece.js';
import { DIALECTS, requestOf, type Dialect } from './requests.js';

/** Keys of the projects that scenarios call with. */
export type Caller = 'usual' | 'strict' | 'restricted' | 'nobody';

export interface Scenario {
  readonly name: string;
  readonly caller: Caller;
  readonly manner: Manner;
  readonly dialect: Dialect;
  /** Answers that the client may see. */
  readonly statuses: readonly number[];
  /** How the record says that the call ended; null where a caller is not known and so has no record. */
  readonly outcomes: readonly string[] | null;
  /** `unit` is the scenario's own canary, without a gap. */
  readonly sent: (unit: string) => Omit<Sent, 'headers'> & { headers?: Record<string, string> };
}

/** The canary as a prompt holds it: with what JSON and URLs escape, and a line that looks like a stack trace's. */
export function proseOf(unit: string): string {
  return `${unit} "ö" \\ ${unit}\n    at ${unit} (/${unit}.js:1:1)\n${unit}`;
}

/** The headers that tell the upstream what to do, and carry the canary to it as an application's own would. */
export function steering(scenario: Scenario, unit: string): Record<string, string> {
  return {
    [MANNER_HEADER]: encodeURIComponent(scenario.manner),
    [DIALECT_HEADER]: encodeURIComponent(scenario.dialect),
    [NOTE_HEADER]: unit,
    'x-shunt-session-id': unit,
  };
}

interface Way {
  readonly manner: Manner;
  readonly streamed?: boolean;
  readonly status: number;
  readonly outcomes: readonly string[];
  readonly abandon?: Sent['abandon'];
}

const WAYS: readonly Way[] = [
  { manner: 'answers', status: 200, outcomes: ['completed'] },
  { manner: 'answers gzipped', status: 200, outcomes: ['completed'] },
  { manner: 'streams', streamed: true, status: 200, outcomes: ['completed'] },
  { manner: 'refuses with 400', status: 400, outcomes: ['upstream_error'] },
  { manner: 'refuses with 429', streamed: true, status: 429, outcomes: ['upstream_error'] },
  { manner: 'refuses with 500', status: 500, outcomes: ['upstream_error'] },
  { manner: 'sends an HTML page with 502', status: 502, outcomes: ['upstream_error'] },
  { manner: 'sends half of its JSON', status: 200, outcomes: ['completed', 'truncated'] },
  { manner: 'sends garbage', status: 200, outcomes: ['completed', 'truncated'] },
  { manner: 'sends headers that are none', status: 502, outcomes: ['upstream_failed'] },
  { manner: 'cuts the stream', streamed: true, status: 200, outcomes: ['truncated'] },
  { manner: 'cuts the connection before it answers', status: 502, outcomes: ['upstream_failed'] },
  { manner: 'sends an error event', streamed: true, status: 200, outcomes: ['upstream_error'] },
  {
    manner: 'begins a stream and waits',
    streamed: true,
    status: 200,
    outcomes: ['client_aborted'],
    abandon: 'after the first bytes',
  },
]; // prettier-ignore

/** Every interface, and every way in which a provider answers or fails. */
export const CALLS: readonly Scenario[] = DIALECTS.flatMap((dialect) =>
  WAYS.map(({ manner, streamed = false, status, outcomes, abandon }): Scenario => ({
    name: `${dialect}: the provider ${manner}${abandon ? ', the client goes away' : ''}`,
    caller: 'usual',
    manner,
    dialect,
    statuses: [status],
    outcomes,
    sent: (unit) => ({ ...sentTo(dialect, unit, streamed), ...(abandon ? { abandon } : {}) }),
  })),
);

/** The tokenizer's thread reads prompt and answer. */
export const ESTIMATED: readonly Scenario[] = (
  ['openai chat', 'groq chat'] satisfies Dialect[]
).map((dialect) => ({
  name: `${dialect}: usage is estimated because the stream has none`,
  caller: 'strict',
  manner: 'streams without usage',
  dialect,
  statuses: [200],
  outcomes: ['completed'],
  sent: (unit) => sentTo(dialect, unit, true),
}));

/** A provider that never answers; needs limits that end within a test. */
export const SILENT: readonly Scenario[] = DIALECTS.map((dialect) => ({
  name: `${dialect}: the provider does not begin to answer in time`,
  caller: 'usual',
  manner: 'is silent',
  dialect,
  statuses: [504],
  outcomes: ['upstream_failed'],
  sent: (unit) => sentTo(dialect, unit, false),
}));

/** The client goes away before a single byte came back. */
export const ABANDONED: readonly Scenario[] = DIALECTS.map((dialect) => ({
  name: `${dialect}: the client goes away at once`,
  caller: 'usual',
  manner: 'is silent',
  dialect,
  statuses: [0],
  outcomes: ['client_aborted'],
  sent: (unit) => ({ ...sentTo(dialect, unit, false), abandon: 'at once' }),
}));

const refused = (
  name: string,
  statuses: readonly number[],
  sent: Scenario['sent'],
  caller: Caller = 'usual',
): Scenario => ({
  name: `refused: ${name}`,
  caller,
  manner: 'answers',
  dialect: 'openai chat',
  statuses,
  outcomes: caller === 'nobody' ? null : ['refused'],
  sent,
});

const CHAT = '/v1/chat/completions';
const withBody = (body: (unit: string) => string | Buffer, path = CHAT): Scenario['sent'] => {
  return (unit) => ({ path, body: body(unit) });
};
const quoted = (unit: string): string => JSON.stringify(proseOf(unit));

export const REFUSALS: readonly Scenario[] = [
  refused('JSON that breaks off in a prompt', [400], withBody((unit) => `{"model":"m","messages":[{"content":${quoted(unit)}`)),
  refused('JSON with a stray word', [400], withBody((unit) => `{"model":"m","x":${unit} ${unit},"messages":${quoted(unit)}}`)),
  refused('a body that is a string', [400], withBody(quoted)),
  refused('a prompt around invalid UTF-8', [400], withBody((unit) => Buffer.concat([Buffer.from(`{"model":"m","messages":"${unit}`), Buffer.of(0xc3, 0x28), Buffer.from(`${unit}"}`)]))),
  refused('no model named', [400], withBody((unit) => `{"messages":${quoted(unit)}}`)),
  refused('a body that is not compressed as it says', [400], (unit) => ({ path: CHAT, body: unit, headers: { 'content-encoding': 'gzip' } })),
  refused('a content-encoding that nobody knows', [415], (unit) => ({ path: CHAT, body: unit, headers: { 'content-encoding': unit } })),
  refused('a model outside the allow-list', [403], withBody((unit) => `{"model":"gpt-5.4","messages":${quoted(unit)}}`), 'restricted'),
  refused('a path outside the allow-list', [403], (unit) => ({ path: `/openai/v1/files/${unit}?note=${unit}`, body: unit })),
  refused('a prompt over the limit', [413], withBody((unit) => `{"model":"gpt-5.4","messages":"${unit.repeat(400)}"}`), 'restricted'),
  refused('a path that no provider has', [404], (unit) => ({ path: `/openai/${unit}/${unit}?q=${unit}`, body: unit })),
  refused('a path with dot segments', [400], (unit) => ({ path: `/openai/v1/${unit}/%2e%2e/${unit}?q=${unit}`, body: unit })),
  refused('a WebSocket of somebody', [426], (unit) => ({ method: 'GET', path: `/openai/v1/realtime?model=${unit}`, headers: { connection: 'upgrade', upgrade: 'websocket' } })),
  refused('a key that nobody has', [401], withBody((unit) => `{"model":"gpt-5.4","messages":${quoted(unit)}}`), 'nobody'),
  refused('a path of nobody', [404], (unit) => ({ path: `/openai/${unit}/${unit}?q=${unit}`, body: unit }), 'nobody'),
  refused('a path with a dot segment', [400], (unit) => ({ path: `/openai/v1/${unit}/%2e%2e/${unit}?q=${unit}`, body: unit }), 'nobody'),
  refused('a WebSocket', [426], (unit) => ({ method: 'GET', path: `/openai/v1/realtime?model=${unit}`, headers: { connection: 'upgrade', upgrade: 'websocket' } }), 'nobody'),
  refused('a path of the framework', [400], (unit) => ({ path: `/shunt/v1/${unit}?q=${unit}`, body: `{${unit}` , headers: { 'content-type': 'application/json' } }), 'nobody'),
]; // prettier-ignore

const relayed = (name: string, sent: Scenario['sent'], caller: Caller = 'usual'): Scenario => ({
  name,
  caller,
  manner: 'answers',
  dialect: 'openai chat',
  statuses: [200],
  outcomes: ['completed'],
  sent,
});

/** Bodies that are valid and unusual. */
export const ODDITIES: readonly Scenario[] = [
  relayed('a compressed prompt', (unit) => ({
    path: CHAT,
    headers: { 'content-encoding': 'gzip' },
    body: gzipSync(JSON.stringify(requestOf('openai chat', proseOf(unit), false).body)),
  })),
  // Escapes that JSON does not know inside a string: a scan passes over them, a parser does not.
  relayed('a long prompt with broken escapes', (unit) => ({
    path: CHAT,
    body: `{"model":"gpt-5.4","messages":[{"role":"user","content":"\\x ${unit.repeat(2_000)}"}]}`,
  })),
  relayed('a prompt of 400 KB', (unit) => ({
    path: CHAT,
    body: JSON.stringify(requestOf('openai chat', proseOf(unit).repeat(500), false).body),
  })),
  relayed(
    'a file that is relayed unread',
    (unit) => ({
      path: `/openai/v1/files?purpose=${unit}`,
      headers: { 'content-type': 'multipart/form-data; boundary=x' },
      body: `--x\r\ncontent-disposition: form-data; name="file"; filename="${unit}"\r\n\r\n${unit}\r\n--x--`,
    }),
    'strict',
  ),
];

const OTHER_PATHS = [
  '/openai/v1/embeddings',
  '/openai/v1/responses/input_tokens',
  '/v1/messages',
  '/v1/messages/count_tokens',
  '/google/v1/models/gemini-3.5-flash:countTokens',
  '/google/v1beta/models/gemini-embedding-001:embedContent',
  '/google/v1beta/models/gemini-embedding-001:batchEmbedContents',
  '/google/v1beta/models/gemini-3.5-flash:streamGenerateContent',
  '/google/v1beta/openai/chat/completions',
  '/groq/openai/v1/embeddings',
];

/** What else is forwarded, each with the canary in its body and in its query. */
export const OTHERS: readonly Scenario[] = [
  ...OTHER_PATHS.map((path) =>
    relayed(path, (unit) => ({
      path: `${path}?note=${unit}`,
      body: JSON.stringify({ model: 'some-model', input: proseOf(unit), [unit]: [unit] }),
    })),
  ),
  relayed('the list of models', (unit) => ({ method: 'GET', path: `/v1/models?note=${unit}` })),
];

function sentTo(dialect: Dialect, unit: string, streamed: boolean): Sent {
  const { path, headers, body } = requestOf(dialect, proseOf(unit), streamed);
  return { path, headers, body: JSON.stringify(body) };
}
