import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  startCapturingUpstream,
  type CapturingUpstream,
} from '../../support/capturing-upstream.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { LeakHunt } from '../../support/leak-hunt.js';
import { call } from './call.js';

let upstream: CapturingUpstream;
let gateway: TestGateway;

beforeAll(async () => {
  upstream = await startCapturingUpstream();
  gateway = await startGateway({
    env: {
      OPENAI_BASE_URL: `${upstream.origin}/v1`,
      ANTHROPIC_BASE_URL: upstream.origin,
      GOOGLE_BASE_URL: upstream.origin,
      GROQ_BASE_URL: upstream.origin,
      OPENAI_API_KEY: 'sk-openai',
      ANTHROPIC_API_KEY: 'sk-ant',
      GEMINI_API_KEY: 'AIza-google',
      GROQ_API_KEY: 'gsk_groq',
      LOG_LEVEL: 'trace',
    },
  });
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

const GEMINI = '/google/v1beta/models/gemini-3.5-flash:generateContent';

test.each<readonly [name: string, path: string, headers: (key: string) => Record<string, string>]>([
  ['as a bearer token', '/v1/chat/completions', (key) => ({ authorization: `Bearer ${key}` })],
  ['as a bearer token, in small letters', '/groq/openai/v1/chat/completions', (key) => ({ authorization: `bearer  ${key} ` })],
  ['in x-api-key', '/anthropic/v1/messages', (key) => ({ 'x-api-key': key })],
  ['in x-goog-api-key', GEMINI, (key) => ({ 'x-goog-api-key': key })],
  ['in all of these at once', GEMINI, (key) => ({ 'x-goog-api-key': key, 'x-api-key': key, authorization: `Bearer ${key}` })],
  ['in cookies and proxy headers beside', '/v1/chat/completions', (key) => ({ authorization: `Bearer ${key}`, cookie: `key=${key}`, 'proxy-authorization': key, 'x-shunt-key': key })],
  ['in the query', `${GEMINI}?key=KEY`, () => ({})],
  ['in the query, among others', `${GEMINI}?alt=json&key=KEY&x=1`, () => ({})],
  ['in the query, twice', `${GEMINI}?key=KEY&key=KEY`, () => ({})],
  ['in the query and in a header', `${GEMINI}?key=KEY`, (key) => ({ 'x-goog-api-key': key })],
  ['in the query, spelt with an escape, and in a header', `${GEMINI}?%6bey=KEY&x=1`, (key) => ({ 'x-goog-api-key': key })],
  ['in the query, spelt with an escape', `${GEMINI}?k%65y=KEY`, () => ({})],
])('a project key that comes %s does not go on to the provider, and is in no log line', async (_name, path, headers) => {
  const key = gateway.projectKey;
  const before = upstream.captured.length;
  const { status } = await call(gateway.origin, {
    path: path.replaceAll('KEY', key),
    headers: { 'content-type': 'application/json', ...headers(key) },
    body: '{"model":"gpt-5.4","messages":[],"contents":[]}',
  });
  expect(status).toBe(200);
  const sent = upstream.captured.slice(before);
  expect(sent).toHaveLength(1);
  const hunt = new LeakHunt([{ name: 'the project key', text: key }]);
  hunt.text('the forwarded call', JSON.stringify([sent[0]?.url, sent[0]?.rawHeaders]));
  hunt.text('the log', gateway.logs());
  expect(hunt.hits).toEqual([]);
  expect(sent[0]?.url).not.toMatch(/[?&](?:k|%6b)(?:e|%65)(?:y|%79)=/i);
}); // prettier-ignore

test("elsewhere than under /google a key in the query is nobody's key", async () => {
  const { status } = await call(gateway.origin, {
    path: `/v1/chat/completions?key=${gateway.projectKey}`,
    body: '{"model":"gpt-5.4","messages":[]}',
  });
  expect(status).toBe(401);
});
