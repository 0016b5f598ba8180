import { Readable } from 'node:stream';
import { request } from 'undici';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ApiKeyService } from '../../../src/modules/api-keys/api-key.service.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import type { ProjectChanges } from '../../../src/modules/projects/project.js';
import { ProjectService } from '../../../src/modules/projects/project.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import {
  json,
  startCapturingUpstream,
  type CapturingUpstream,
} from '../../support/capturing-upstream.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { ACTOR } from '../../support/tenants.js';

let upstream: CapturingUpstream;
let gateway: TestGateway;
let postgres: TestDatabase;
let orgId: string;

beforeAll(async () => {
  upstream = await startCapturingUpstream();
  postgres = await testDatabase();
  gateway = await startGateway({
    env: {
      DATABASE_URL: postgres.runtimeUrl,
      DATABASE_MIGRATION_URL: postgres.ownerUrl,
      OPENAI_BASE_URL: `${upstream.origin}/v1`,
      ANTHROPIC_BASE_URL: upstream.origin,
      GOOGLE_BASE_URL: upstream.origin,
      OPENAI_API_KEY: 'sk-openai',
      ANTHROPIC_API_KEY: 'sk-ant',
      GEMINI_API_KEY: 'AIza',
    },
  });
  const found = await gateway.app.engine.principals.find(gateway.projectKey);
  if (found.kind !== 'known') throw new Error('the first key is not known');
  orgId = found.principal.orgId;
});

afterAll(async () => {
  await gateway.stop();
  await postgres.close();
  await upstream.close();
});

beforeEach(() => {
  upstream.captured.length = 0;
  upstream.answerWith((res) => json(res, {}));
});

/** The key of a new project with these settings. */
async function keyOf(settings: ProjectChanges): Promise<string> {
  const { database } = gateway.app.engine;
  const projects = new ProjectService(database, systemClock);
  const made = await projects.create(
    orgId,
    { name: `p${Math.trunc(performance.now() * 1_000)}` },
    ACTOR,
  );
  if (made.kind !== 'saved') throw new Error(`the project was not made: ${made.kind}`);
  await projects.update(orgId, made.project.id, settings, ACTOR);
  const issued = await new ApiKeyService(database, systemClock).create(
    orgId,
    {
      projectId: made.project.id,
      name: 'k',
    },
    ACTOR,
  );
  if (issued.kind !== 'issued') throw new Error('no key was issued');
  return issued.token;
}

async function call(key: string, path: string, body: string | null, method = 'POST') {
  const answer = await request(gateway.origin + path, {
    method: method as 'POST',
    headers: { authorization: `Bearer ${key}` },
    body,
  });
  const text = await answer.body.text();
  const code = /"code":"([a-z_]+)"|"error_code":"([a-z_]+)"|"reason":"([A-Z_]+)"/
    .exec(text)
    ?.slice(1)
    .find(Boolean);
  return { status: answer.statusCode, code: code?.toLowerCase(), headers: answer.headers, text };
}

const CHAT = '/v1/chat/completions';

describe('a project', () => {
  it('that is disabled forwards nothing', async () => {
    const key = await keyOf({ disabled: true });
    expect(await call(key, CHAT, '{"model":"gpt-5.4"}')).toMatchObject({
      status: 403,
      code: 'project_disabled',
    });
    expect(upstream.captured).toHaveLength(0);
  });

  it('with a provider allow-list reaches no other provider', async () => {
    const key = await keyOf({ allowedProviders: ['anthropic'] });
    expect(await call(key, CHAT, '{"model":"gpt-5.4"}')).toMatchObject({
      status: 403,
      code: 'provider_not_allowed',
    });
    expect(await call(key, '/v1/messages', '{"model":"claude-sonnet-5-5"}')).toMatchObject({
      status: 200,
    });
  });

  it('with a model allow-list reaches no other model, by body or by path', async () => {
    const key = await keyOf({ allowedModels: ['gpt-5.4', 'gemini-3*'] });
    expect(await call(key, CHAT, '{"model":"gpt-5.4"}')).toMatchObject({ status: 200 });
    expect(await call(key, CHAT, '{"model":"gpt-5.5"}')).toMatchObject({
      status: 403,
      code: 'model_not_allowed',
    });
    const google = (model: string) =>
      call(key, `/google/v1beta/models/${model}:generateContent`, '{}');
    expect(await google('gemini-3.8-flash')).toMatchObject({ status: 200 });
    expect(await google('gemini-4-argon')).toMatchObject({
      status: 403,
      code: 'model_not_allowed',
    });
  });

  it('with a model allow-list refuses a body whose model is ambiguous, however it is spelt', async () => {
    const key = await keyOf({ allowedModels: ['gpt-5.4'] });
    for (const body of [
      '{"model":"gpt-5.5","model":"gpt-5.4"}',
      '{"mod\\u0065l":"gpt-5.5","model":"gpt-5.4"}',
    ]) {
      expect(await call(key, CHAT, body)).toMatchObject({ status: 403, code: 'model_unreadable' });
    }
    expect(upstream.captured).toHaveLength(0);
  });

  it('with a model allow-list relays no other path whose model cannot be read', async () => {
    const key = await keyOf({
      allowedModels: ['gpt-image-2'],
      allowedPaths: ['openai:/images*', 'openai:/files*'],
    });
    const image = (model: string) =>
      call(key, '/v1/images/generations', JSON.stringify({ model, prompt: 'x' }));
    expect(await image('gpt-image-2')).toMatchObject({ status: 200 });
    expect(await image('dall-e-9')).toMatchObject({ status: 403, code: 'model_not_allowed' });
    expect(await call(key, '/v1/files', '{"purpose":"batch"}')).toMatchObject({
      status: 403,
      code: 'model_unreadable',
    });
    expect(await call(key, '/v1/files', null, 'GET')).toMatchObject({ status: 200 });
  });

  it.each([
    '/google/v1beta/tunedModels/secret-x:generateContent',
    '/google/v1beta/models/gemini-4-argon:batchGenerateContent',
    '/google/v1beta/models/gemini-4-argon:GenerateContent',
    '/google/v1beta/cachedContents',
    '/anthropic/v1/messages/batches',
    '/v1/batches',
  ])('with a model allow-list is not talked past it by a model in the body: %s', async (path) => {
    const allowedPaths = ['google:/*', 'anthropic:/*', 'openai:/*'];
    const key = await keyOf({ allowedModels: ['gemini-3.8-flash'], allowedPaths });
    expect(await call(key, path, '{"model":"gemini-3.8-flash"}')).toMatchObject({
      status: 403,
      code: 'model_unreadable',
    });
    expect(upstream.captured).toHaveLength(0);
  });

  it('with a model allow-list takes a model by either of the names that Google has for it', async () => {
    const key = await keyOf({ allowedModels: ['gemini-3.8-flash'] });
    for (const model of ['gemini-3.8-flash', 'models/gemini-3.8-flash']) {
      const answer = await call(
        key,
        '/google/v1beta/openai/chat/completions',
        JSON.stringify({ model }),
      );
      expect(answer.status).toBe(200);
    }
  });

  it('with a body limit of its own refuses what is over it, declared or not', async () => {
    const key = await keyOf({ bodyLimitBytes: 1_000, allowedPaths: ['openai:/files*'] });
    const long = JSON.stringify({ model: 'gpt-5.4', x: 'x'.repeat(2_000) });
    expect(await call(key, CHAT, long)).toMatchObject({ status: 413, code: 'body_too_large' });
    const chunked = await request(`${gateway.origin}/v1/files`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: Readable.from(Array.from({ length: 10 }, () => Buffer.alloc(500))),
    });
    expect(chunked.statusCode).toBe(413);
    expect(await chunked.body.text()).toContain('body_too_large');
  });
});

describe('other paths of a provider', () => {
  it('are relayed as streams, both ways, where the project lists them', async () => {
    const key = await keyOf({ allowedPaths: ['openai:/files*'] });
    const sent = Buffer.alloc(3 * 1024 * 1024, 'file');
    upstream.answerWith((res, { body }) => {
      res.writeHead(200, { 'content-type': 'application/octet-stream' });
      res.end(body);
    });
    const answer = await request(`${gateway.origin}/openai/v1/files?purpose=x`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'multipart/form-data; boundary=b',
      },
      body: sent,
    });
    expect(Buffer.from(await answer.body.arrayBuffer()).equals(sent)).toBe(true);
    expect(upstream.captured[0]).toMatchObject({ url: '/v1/files?purpose=x', method: 'POST' });
    expect(await gateway.record(String(answer.headers['x-shunt-request-id']))).toMatchObject({
      operation: 'other',
      outcome: 'completed',
      metering: 'unmetered',
    });
  });

  it('are open by default for models and token counting alone', async () => {
    const key = await keyOf({});
    expect(await call(key, '/v1/models', null, 'GET')).toMatchObject({ status: 200 });
    expect(await call(key, '/anthropic/v1/models/claude-x', null, 'GET')).toMatchObject({
      status: 200,
    });
    expect(await call(key, '/v1/responses/input_tokens', '{"model":"gpt-5.4"}')).toMatchObject({
      status: 200,
    });
    expect(await call(key, '/v1/responses/resp_1', null, 'GET')).toMatchObject({ status: 403 });
    expect(await call(key, '/v1/models/ft:x', null, 'DELETE')).toMatchObject({ status: 403 });
  });

  it('never include the administration of the organization, whatever the list says', async () => {
    const key = await keyOf({ allowedPaths: ['openai:/*', 'anthropic:/*'] });
    for (const path of ['/openai/v1/organization/users', '/anthropic/v1/organizations/api_keys']) {
      expect(await call(key, path, null, 'GET')).toMatchObject({
        status: 403,
        code: 'path_not_allowed',
      });
    }
    expect(upstream.captured).toHaveLength(0);
  });
});

describe('a strict project', () => {
  it('gets its streams untouched, and an estimate that says that it is one', async () => {
    const key = await keyOf({ strict: true });
    const body =
      '{"model":"gpt-5.4","stream":true,"messages":[{"role":"user","content":"one two three four"}]}';
    const stream = ['one', ' two', ' three'].map(
      (text) => `data: {"choices":[{"delta":{"content":"${text}"}}]}\n\n`,
    );
    const sent = `${stream.join('')}data: [DONE]\n\n`;
    upstream.answerWith((res) =>
      res.writeHead(200, { 'content-type': 'text/event-stream' }).end(sent),
    );
    const answer = await call(key, CHAT, body);
    expect(answer.text).toBe(sent);
    expect(upstream.captured[0]!.body.toString()).toBe(body);
    const id = String(answer.headers['x-shunt-request-id']);
    await expect
      .poll(async () => (await gateway.record(id)).metering, { timeout: 15_000 })
      .toBe('estimated');
    expect(await gateway.record(id)).toMatchObject({
      revision: 2,
      usage: { outputTokens: 3 },
      pricing: 'priced',
    });
  });
});

describe('an organization', () => {
  it('has one limit for all of its keys, in the envelope of each SDK, with retry-after', async () => {
    const keys = [await keyOf({}), await keyOf({})];
    const organizations = new OrganizationService(
      gateway.app.engine.database,
      new SecretBox(gateway.app.engine.config.encryptionKeys),
      systemClock,
    );
    await organizations.setRequestsPerMinute(orgId, 1, ACTOR);
    await expect
      .poll(async () => (await call(keys[0]!, CHAT, '{"model":"gpt-5.4"}')).status, {
        timeout: 5_000,
      })
      .toBe(429);
    const sent = upstream.captured.length;
    const limited = await call(keys[1]!, '/anthropic/v1/messages', '{"model":"claude-x"}');
    expect(limited).toMatchObject({ status: 429 });
    expect(limited.text).toContain('"type":"rate_limit_error"');
    expect(Number(limited.headers['retry-after'])).toBeGreaterThan(0);
    expect(upstream.captured).toHaveLength(sent);
    await organizations.setRequestsPerMinute(orgId, null, ACTOR);
  });

  it('that is suspended is blocked, and says so', async () => {
    const key = await keyOf({});
    await postgres.setStatus(orgId, 'suspended');
    await expect
      .poll(async () => (await call(key, CHAT, '{"model":"gpt-5.4"}')).code, { timeout: 5_000 })
      .toBe('organization_suspended');
    await postgres.setStatus(orgId, 'observing');
  });
});
