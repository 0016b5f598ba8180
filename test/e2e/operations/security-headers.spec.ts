import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  json,
  startCapturingUpstream,
  type CapturingUpstream,
} from '../../support/capturing-upstream.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { sendRaw } from '../../support/raw-http.js';

let upstream: CapturingUpstream;
let gateway: TestGateway;

beforeAll(async () => {
  upstream = await startCapturingUpstream();
  gateway = await startGateway({
    env: { OPENAI_BASE_URL: `${upstream.origin}/v1`, OPENAI_API_KEY: 'sk-openai' },
  });
  // A provider with opinions of its own on all of these.
  upstream.answerWith((res, { url }) => {
    const status = Number(/status=(\d+)/.exec(url)?.[1] ?? 200);
    res.setHeader('set-cookie', 'session=of-the-provider');
    res.setHeader('content-security-policy', "default-src *; script-src 'unsafe-inline'");
    res.setHeader('x-content-type-options', 'sniff-away');
    if (!url.includes('html')) return json(res, { choices: [] }, status);
    res.writeHead(status, { 'content-type': 'text/html' }).end('<script>alert(1)</script>');
  });
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.close();
});

interface Asked {
  readonly name: string;
  readonly status: number;
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly keyless?: true;
}

const CHAT = '/v1/chat/completions';
const BODY = '{"model":"gpt-5.4","messages":[]}';
const STREAM = '{"model":"gpt-5.4","messages":[],"stream":true}';

const GATEWAY: readonly Asked[] = [
  { name: 'a relayed answer', status: 200, path: CHAT, body: BODY },
  { name: 'a relayed answer to a streamed call', status: 200, path: CHAT, body: STREAM },
  { name: 'a relayed error', status: 429, path: `${CHAT}?status=429`, body: BODY },
  { name: 'a relayed page', status: 200, path: `${CHAT}?html`, body: BODY },
  { name: 'a relayed error page', status: 503, path: `${CHAT}?html&status=503`, body: BODY },
  { name: 'a relayed list', status: 200, method: 'GET', path: '/v1/models' },
  { name: 'a refusal for want of a key', status: 401, path: CHAT, body: BODY, keyless: true },
  { name: 'a refusal of a body', status: 400, path: CHAT, body: '{' },
  { name: 'a refusal of a path', status: 403, path: '/v1/files', body: '{}' },
  { name: 'a refusal in Anthropic\'s envelope', status: 403, path: '/anthropic/v1/messages', body: '{' },
  { name: 'a refusal in Google\'s envelope', status: 403, path: '/google/v1beta/models/m:generateContent', body: '{}' },
  { name: 'a path of nobody', status: 404, path: '/openai/nothing', body: '{}' },
  { name: 'a refusal of HEAD', status: 404, method: 'HEAD', path: '/openai/nothing' },
  { name: 'a preflight', status: 405, method: 'OPTIONS', path: CHAT, keyless: true },
]; // prettier-ignore

const FRAMEWORK: readonly Asked[] = [
  { name: 'health', status: 200, method: 'GET', path: '/healthz' },
  { name: 'readiness', status: 200, method: 'GET', path: '/readyz' },
  { name: 'metrics', status: 200, method: 'GET', path: '/metrics', keyless: true },
  { name: 'refused metrics', status: 401, method: 'GET', path: '/metrics', headers: { 'x-forwarded-for': '203.0.113.9' }, keyless: true },
  { name: 'the application API', status: 200, method: 'GET', path: '/shunt/v1/project' },
  { name: 'the application API without a key', status: 401, method: 'GET', path: '/shunt/v1/project', keyless: true },
  { name: 'a wrong parameter', status: 400, method: 'GET', path: '/shunt/v1/requests?limit=x' },
  { name: 'a period before all databases', status: 400, method: 'GET', path: '/shunt/v1/usage?from=-271821-04-20T00:00:00Z' },
  { name: 'a request that there is not', status: 404, method: 'GET', path: '/shunt/v1/requests/x' },
  { name: 'a page that there is not', status: 404, method: 'GET', path: '/nothing' },
  { name: 'a method that there is not', status: 404, method: 'PUT', path: '/healthz' },
  { name: 'HEAD', status: 200, method: 'HEAD', path: '/healthz' },
  { name: 'a body that is no JSON', status: 400, path: '/shunt/v1/requests', body: '{' },
  { name: 'a broken escape in a URL', status: 400, method: 'GET', path: '/%zz' },
  { name: 'a parameter over its length', status: 414, method: 'GET', path: `/shunt/v1/requests/${'a'.repeat(2_000)}` },
]; // prettier-ignore

async function ask(asked: Asked): Promise<Response> {
  const { method = 'POST', path, headers, body, keyless } = asked;
  const key = keyless ? {} : { authorization: `Bearer ${gateway.projectKey}` };
  const type = body === undefined ? {} : { 'content-type': 'application/json' };
  const answer = await fetch(gateway.origin + path, {
    method,
    headers: { ...key, ...type, ...headers },
    body,
  });
  await answer.arrayBuffer();
  return answer;
}

describe('what nobody may take for a page of this origin carries the headers that say so:', () => {
  test.each(GATEWAY)('$name', async (asked) => {
    const { status, headers } = await ask(asked);
    expect(status).toBe(asked.status);
    // Once each, and not the provider's.
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toBe("default-src 'none'; sandbox");
    expect(headers.get('set-cookie')).toBeNull();
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('server')).toBeNull();
  });
});

describe("the framework's answers and refusals carry them too:", () => {
  test.each(FRAMEWORK)('$name', async (asked) => {
    const { status, headers } = await ask(asked);
    expect(status).toBe(asked.status);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toMatch(/default-src '(?:self|none)'/);
    expect(headers.get('content-security-policy')).not.toContain(',');
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('server')).toBeNull();
    // Plain HTTP on one's own machine must stay usable.
    expect(headers.get('strict-transport-security')).toBeNull();
  });
});

describe('so does the answer to what is no HTTP request:', () => {
  test.each([
    ['garbage', 400, 'GARBAGE /x\r\n\r\n'],
    ['headers over the limit', 431, `GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(40_000)}\r\n\r\n`],
    ['two lengths', 400, 'POST /v1/models HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a line end in a header', 400, 'GET /healthz HTTP/1.1\r\nhost: x\r\nx: a\rb\r\n\r\n'],
  ])('%s', async (_name, status, bytes) => {
    const answer = await sendRaw(gateway.origin, bytes);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toContain('x-content-type-options: nosniff\r\n');
    expect(answer).toContain("content-security-policy: default-src 'none'; sandbox\r\n");
    expect(answer).toContain('connection: close\r\n');
    expect((await fetch(`${gateway.origin}/healthz`)).status).toBe(200);
  }); // prettier-ignore
});
