import net from 'node:net';
import { gzipSync } from 'node:zlib';
import { request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ApiKeyService } from '../../../src/modules/api-keys/api-key.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import {
  startCapturingUpstream,
  type CapturingUpstream,
} from '../../support/capturing-upstream.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { sendRaw } from '../../support/raw-http.js';
import { ACTOR } from '../../support/tenants.js';

const MB = 1024 * 1024;
const CHAT = '/v1/chat/completions';

let upstream: CapturingUpstream;
let gateway: TestGateway;

beforeAll(async () => {
  upstream = await startCapturingUpstream();
  gateway = await startGateway({
    env: {
      OPENAI_BASE_URL: `${upstream.origin}/v1`,
      ANTHROPIC_BASE_URL: upstream.origin,
      OPENAI_API_KEY: 'sk-openai',
      ANTHROPIC_API_KEY: 'sk-ant',
    },
  });
});

afterAll(async () => {
  // Whatever was sent, the process lives and serves.
  const alive = await post(CHAT, '{"model":"gpt-5.4","messages":[]}');
  expect(alive.status).toBe(200);
  await gateway.stop();
  await upstream.close();
});

beforeEach(() => {
  upstream.captured.length = 0;
  upstream.answerWith((res) =>
    res.writeHead(200, { 'content-type': 'application/json' }).end('{}'),
  );
});

async function post(path: string, body: string | Buffer, headers: Record<string, string> = {}) {
  const answer = await request(gateway.origin + path, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${gateway.projectKey}`,
      ...headers,
    },
    body,
  });
  const bytes = Buffer.from(await answer.body.arrayBuffer());
  const id = String(answer.headers['x-shunt-request-id']);
  return {
    status: answer.statusCode,
    headers: answer.headers,
    bytes,
    id,
    json: () => JSON.parse(bytes.toString()),
  };
}

const nested = (depth: number) =>
  `{"model":"m","messages":${'['.repeat(depth)}${']'.repeat(depth)}}`;

const REFUSED: readonly [name: string, path: string, body: string | Buffer, status: number, code: string, headers?: Record<string, string>][] = [
  ['malformed JSON', CHAT, '{"model":"m","messages":[', 400, 'invalid_json'],
  ['a body that is no object', CHAT, '[1]', 400, 'invalid_json'],
  ['an empty body', CHAT, '', 400, 'invalid_json'],
  ['a body without a model', CHAT, '{"messages":[]}', 400, 'model_missing'],
  ['a model that is no text', CHAT, '{"model":7}', 400, 'model_missing'],
  ['nesting 100,000 deep', CHAT, nested(100_000), 400, 'body_too_deep'],
  ['invalid UTF-8', CHAT, Buffer.concat([Buffer.from('{"model":"m","x":"'), Buffer.of(0xc3, 0x28), Buffer.from('"}')]), 400, 'invalid_utf8'],
  ['a 100 MB body', CHAT, Buffer.alloc(100 * MB, 0x20), 413, 'body_too_large'],
  ['a compressed bomb', CHAT, gzipSync(Buffer.alloc(200 * MB, 0x20)), 413, 'body_too_large', { 'content-encoding': 'gzip' }],
  ['a body that is not compressed as it says', CHAT, 'plain', 400, 'invalid_encoding', { 'content-encoding': 'gzip' }],
  ['an unknown content-encoding', CHAT, 'plain', 415, 'unsupported_encoding', { 'content-encoding': 'x-zip' }],
  ['a provider without a key', '/groq/openai/v1/chat/completions', '{"model":"m"}', 403, 'provider_key_missing'],
  ['a path that is not on the allow-list', '/openai/v1/files', '{}', 403, 'path_not_allowed'],
  ['a path of the organization\'s administration', '/openai/v1/organization/admin_api_keys', '{}', 403, 'path_not_allowed'],
]; // prettier-ignore

describe('bad input gets a clear error, one record and no upstream call', () => {
  it.each(REFUSED)('%s', async (_name, path, body, status, code, headers) => {
    const answer = await post(path, body, headers);
    expect(answer.status).toBe(status);
    expect(answer.json()).toMatchObject({ error: { code } });
    expect(upstream.captured).toHaveLength(0);
    expect(await gateway.record(answer.id)).toMatchObject({
      outcome: 'refused',
      error_code: code,
      status_code: status,
      metering: 'not_applicable',
      cost_nano_usd: null,
    });
  });

  it('in the shape of the SDK that called', async () => {
    const anthropic = await post('/anthropic/v1/messages', '{"max_tokens":1}');
    expect(anthropic.json()).toMatchObject({
      type: 'error',
      error: { type: 'invalid_request_error', details: { error_code: 'model_missing' } },
      request_id: anthropic.id,
    });
    const google = await post('/google/v1beta/models/m:generateContent', '{}');
    expect(google.json()).toMatchObject({ error: { code: 403, status: 'PERMISSION_DENIED' } });
    expect(JSON.stringify(google.json())).toContain('PROVIDER_KEY_MISSING');
  });
});

describe('a caller that is not known gets', () => {
  it.each([
    ['no key', {}, 401, 'missing_key'],
    [
      'a wrong key',
      { authorization: 'Bearer shunt_wrong_0123456789abcdefghij' },
      401,
      'unknown_key',
    ],
    ['a key that is none', { authorization: 'Bearer x' }, 401, 'unknown_key'],
  ])('401 with %s, whatever the size of its body', async (_name, headers, status, code) => {
    const answer = await request(gateway.origin + CHAT, {
      method: 'POST',
      headers,
      body: '{"model":"m"}',
    });
    expect(answer.statusCode).toBe(status);
    expect(await answer.body.json()).toMatchObject({ error: { code } });
    expect(upstream.captured).toHaveLength(0);
  });

  it('401 with a revoked key, within a second of its revocation', async () => {
    const found = await gateway.app.engine.principals.find(gateway.projectKey);
    if (found.kind !== 'known') throw new Error('the first key is not known');
    const { orgId, projectId } = found.principal;
    const keys = new ApiKeyService(gateway.app.engine.database, systemClock);
    const made = await keys.create(orgId, { projectId, name: 'second' }, ACTOR);
    if (made.kind !== 'issued') throw new Error('no key was issued');
    const authorization = `Bearer ${made.token}`;
    expect((await post(CHAT, '{"model":"gpt-5.4"}', { authorization })).status).toBe(200);
    await keys.revoke(orgId, made.key.id, ACTOR);
    const revokedAt = Date.now();
    let status = 200;
    while (status === 200 && Date.now() - revokedAt < 1_000) {
      status = (await post(CHAT, '{"model":"gpt-5.4"}', { authorization })).status;
    }
    expect(status).toBe(401);
  });
});

describe('a path that is not in its normal form', () => {
  it.each([
    '/v1/../v1/chat/completions',
    '/v1/%2e%2e/organization',
    '/openai/v1/models/..%2f..%2forganization',
    '/openai/v1//models',
    '/openai/v1/models/%252e%252e/organization',
    '/openai/v1/./models',
    '/openai/v1/models\\..\\x',
  ])('is refused: %s', async (path) => {
    const answer = await sendRaw(
      gateway.origin,
      `GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.projectKey}\r\nconnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(upstream.captured).toHaveLength(0);
  });

  it.each(['constructor', 'toString', 'hasOwnProperty'])(
    'is no method of a Google model for being one of every object: %s',
    async (method) => {
      const answer = await post(`/google/v1beta/models/x:${method}`, '{}');
      expect(answer.status).toBe(403);
    },
  );

  it('is recorded once where the caller is known', async () => {
    const unknown = await post('/openai/unknown', '{}');
    expect(await gateway.record(unknown.id)).toMatchObject({
      outcome: 'refused',
      error_code: 'unknown_path',
    });
    const dotted = await sendRaw(
      gateway.origin,
      `POST /v1/%2e%2e/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.projectKey}\r\nconnection: close\r\n\r\n`,
    );
    const id = /x-shunt-request-id: (\S+)/.exec(dotted)?.[1];
    expect(await gateway.record(id ?? '')).toMatchObject({
      outcome: 'refused',
      error_code: 'invalid_path',
    });
  });

  it('or whose method has no meaning to an API is refused: TRACE would echo the provider key', async () => {
    const answer = await sendRaw(
      gateway.origin,
      `TRACE /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.projectKey}\r\nconnection: close\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 405 /);
    expect(upstream.captured).toHaveLength(0);
  });

  it.each(['/openai/unknown', '/groq/v1/chat/completions', '/google/v3/models', '/anthropic'])(
    'is told from an unknown one: %s',
    async (path) => {
      const answer = await post(path, '{}');
      expect(answer.status).toBe(404);
      expect(JSON.stringify(answer.json())).toMatch(/unknown_path/i);
    },
  );
});

describe('headers', () => {
  it('with a bare carriage return or line feed are refused by the parser, and reach nobody', async () => {
    for (const value of ['a\rb', 'a\nb: c', 'a\0b']) {
      const answer = await sendRaw(
        gateway.origin,
        `POST ${CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.projectKey}\r\nx-shunt-session-id: ${value}\r\ncontent-length: 13\r\nconnection: close\r\n\r\n{"model":"m"}`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 (?:400|200) /);
      expect(answer).not.toContain('c: ');
    }
    expect(upstream.captured.every(({ headers }) => headers['b'] === undefined)).toBe(true);
  });

  it('that offer HTTP/2 are no WebSocket', async () => {
    const answer = await sendRaw(
      gateway.origin,
      `GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: h2c\r\nauthorization: Bearer ${gateway.projectKey}\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('that ask for a WebSocket get an error in the envelope', async () => {
    const answer = await sendRaw(
      gateway.origin,
      `GET /openai/v1/realtime?model=x HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\nauthorization: Bearer ${gateway.projectKey}\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 426 /);
    expect(answer).toContain('"websocket_unsupported"');
  });
});

describe('a body that ends early', () => {
  it("is recorded once, as the client's abort, and goes nowhere", async () => {
    const { hostname, port } = new URL(gateway.origin);
    const before = (await gateway.records()).length;
    await new Promise<void>((resolve) => {
      const socket = net.connect(Number(port), hostname, () => {
        socket.write(
          `POST ${CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.projectKey}\r\ncontent-length: 1000\r\n\r\n{"model"`,
          () => socket.destroy(),
        );
      });
      socket.once('close', () => resolve());
    });
    await expect
      .poll(async () => (await gateway.records()).length, { timeout: 5_000 })
      .toBe(before + 1);
    expect((await gateway.records()).at(-1)).toMatchObject({
      outcome: 'client_aborted',
      error_code: 'body_incomplete',
    });
    expect(upstream.captured).toHaveLength(0);
  });
});

describe('a bad upstream', () => {
  it('that closes before it answers: 502, recorded as failed', async () => {
    upstream.answerWith((res) => res.socket?.destroy());
    const answer = await post(CHAT, '{"model":"gpt-5.4"}');
    expect(answer.status).toBe(502);
    expect(answer.json()).toMatchObject({ error: { code: 'upstream_closed' } });
    expect(await gateway.record(answer.id)).toMatchObject({
      outcome: 'upstream_failed',
      status_code: 502,
      metering: 'unmetered',
      unmetered_reason: 'failed',
      failure_class: 'transient',
    });
  });

  it('that answers with garbage: 502', async () => {
    upstream.answerWith((res) => res.socket?.end('\u0000garbage\r\n\r\n'));
    const answer = await post(CHAT, '{"model":"gpt-5.4"}');
    expect(answer.status).toBe(502);
    expect(answer.json()).toMatchObject({ error: { code: 'upstream_garbled' } });
  });

  it('that answers 200 with broken JSON: relayed as it is, and counted as unmetered', async () => {
    upstream.answerWith((res) =>
      res.writeHead(200, { 'content-type': 'application/json' }).end('{"usage":{"pro'),
    );
    const answer = await post(CHAT, '{"model":"gpt-5.4"}');
    expect(answer.bytes.toString()).toBe('{"usage":{"pro');
    expect(await gateway.record(answer.id)).toMatchObject({
      metering: 'unmetered',
      unmetered_reason: 'unreadable',
    });
  });

  it('that answers without usage: counted as unmetered and not as zero', async () => {
    const answer = await post('/v1/embeddings', '{"model":"text-embedding-3-small","input":"x"}');
    const record = await gateway.record(answer.id);
    expect(record).toMatchObject({
      metering: 'unmetered',
      unmetered_reason: 'not_reported',
      pricing: 'not_applicable',
      cost_nano_usd: null,
    });
  });

  it('that closes in the middle of a stream: the client sees a cut stream, the record says so', async () => {
    upstream.answerWith((res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write('data: {"choices":[{"delta":{"content":"one two three"}}]}\n\n', () =>
        res.socket?.destroy(),
      );
    });
    const answer = await request(gateway.origin + CHAT, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.projectKey}` },
      body: '{"model":"gpt-5.4","stream":true,"messages":[{"role":"user","content":"count"}]}',
    });
    const id = String(answer.headers['x-shunt-request-id']);
    await expect(answer.body.text()).rejects.toThrow();
    await expect
      .poll(async () => (await gateway.record(id)).metering, { timeout: 10_000 })
      .toBe('estimated');
    expect(await gateway.record(id)).toMatchObject({
      outcome: 'truncated',
      error_code: 'upstream_closed',
      usage: { outputTokens: 3 },
    });
  });

  it('that sends its error in the stream: relayed, classed and recorded', async () => {
    const event = 'data: {"error":{"message":"x","type":"server_error","code":"server_error"}}\n\n';
    upstream.answerWith((res) =>
      res.writeHead(200, { 'content-type': 'text/event-stream' }).end(event),
    );
    const answer = await post(CHAT, '{"model":"gpt-5.4","stream":true}');
    expect(answer.bytes.toString()).toBe(event);
    expect(await gateway.record(answer.id)).toMatchObject({
      outcome: 'upstream_error',
      failure_class: 'transient',
    });
  });
});
