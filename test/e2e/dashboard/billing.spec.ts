import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { UserService } from '../../../src/modules/organizations/user.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import {
  anonymous,
  firstOwner,
  signIn,
  type DashboardClient,
} from '../../support/dashboard-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { LeakHunt } from '../../support/leak-hunt.js';
import {
  PADDLE_ENV,
  PADDLE_SECRET,
  PAYER,
  deliver,
  paddleEvent,
  paddleH1,
  paddleSignature,
  priceData,
  startPaddleSimulation,
  subscriptionData,
  type PaddleSimulation,
} from '../../support/paddle.js';
import { ACTOR } from '../../support/tenants.js';

let gateway: TestGateway;
let off: TestGateway;
let paddle: PaddleSimulation;
let owner: DashboardClient;
let orgId: string;
beforeAll(async () => {
  paddle = await startPaddleSimulation();
  const secrets = `pdl_ntfset_next,${PADDLE_SECRET}`;
  gateway = await startGateway({
    env: { ...PADDLE_ENV, PADDLE_WEBHOOK_SECRET: secrets, PADDLE_BASE_URL: `${paddle.origin}/` },
  });
  off = await startGateway();
  ({ orgId } = firstOwner(gateway));
  owner = await signIn(gateway, firstOwner(gateway));
});
afterAll(async () => {
  await gateway?.stop();
  await off?.stop();
  await paddle?.close();
});

const run = randomBytes(6).toString('hex');
const ids = { subscriptionId: `sub_${run}`, customerId: `ctm_${run}` };

async function stored(): Promise<number> {
  const { database } = gateway.app.engine;
  const count = (of: string) =>
    database.tenant(of, (q) =>
      q.query<{ n: number }>('SELECT count(*)::int AS n FROM billing_inbox'),
    );
  const counts = [await count(orgId), await count('00000000-0000-0000-0000-000000000000')];
  return counts.flat().reduce((sum, { n }) => sum + n, 0);
}

async function post(body: string, headers: Record<string, string>, origin = gateway.origin) {
  const answer = await fetch(`${origin}/webhooks/paddle`, { method: 'POST', headers, body });
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}

const now = (): number => Math.floor(Date.now() / 1_000);

describe('the webhook', () => {
  const body = JSON.stringify(paddleEvent('subscription.created', { ...ids, orgId: null }));
  const refused: readonly [string, () => Record<string, string>, string?][] = [
    ['no signature', () => ({})],
    ['an empty one', () => ({ 'paddle-signature': '' })],
    ['a malformed one', () => ({ 'paddle-signature': 'h1' })],
    ['a wrong one', () => ({ 'paddle-signature': `ts=${now()};h1=${'0'.repeat(64)}` })],
    ['one of another secret', () => ({ 'paddle-signature': paddleSignature(body, { secret: 'x' }) })],
    ['an old one', () => ({ 'paddle-signature': paddleSignature(body, { ts: now() - 120 }) })],
    ['one of the future', () => ({ 'paddle-signature': paddleSignature(body, { ts: now() + 120 }) })],
    ['one of other bytes', () => ({ 'paddle-signature': paddleSignature(body) }), `${body}\n`],
    ['one of the same JSON, written anew', () => ({ 'paddle-signature': paddleSignature(body) }), JSON.stringify(JSON.parse(body), null, 1)],
    ['a wrong one, and a body that is no JSON', () => ({ 'paddle-signature': 'ts=1;h1=00' }), '{"'],
    ['no signature and no body', () => ({}), ''],
  ]; // prettier-ignore

  test.each(refused)('refuses %s with 401, and stores nothing', async (_, headers, sent = body) => {
    const before = await stored();
    for (const type of ['application/json', 'text/plain']) {
      const answer = await post(sent, { 'content-type': type, ...headers() });
      expect(answer.status).toBe(401);
      expect(JSON.parse(answer.text)).toMatchObject({ error: { code: 'invalid_signature' } });
    }
    expect(await stored()).toBe(before);
  });

  test('takes each of several signatures, of each of its secrets, whatever the content type', async () => {
    const ts = now();
    const event = () =>
      JSON.stringify(paddleEvent('transaction.completed', { ...ids, orgId: null }));
    for (const type of ['application/json', 'application/json; charset=utf-8', 'text/plain']) {
      for (const secret of [PADDLE_SECRET, 'pdl_ntfset_next']) {
        const sent = event();
        const [right, wrong] = [paddleH1(sent, secret, ts), 'f'.repeat(64)];
        const header = `ts=${ts};h1=${wrong};h1=${right};h1=${wrong}`;
        const answer = await post(sent, { 'content-type': type, 'paddle-signature': header });
        expect(answer.status).toBe(200);
        expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
      }
    }
  });

  test('needs no session and no page of ours, and takes nothing larger than 1 MB', async () => {
    const sent = JSON.stringify(paddleEvent('transaction.completed', { ...ids, orgId: null }));
    const signed = {
      'paddle-signature': paddleSignature(sent),
      origin: 'https://elsewhere.example',
    };
    expect((await post(sent, signed)).status).toBe(200);
    const large = JSON.stringify({ filler: 'x'.repeat(1_048_576) });
    expect((await post(large, { 'paddle-signature': paddleSignature(large) })).status).toBe(413);
    const none = '{"signed":"but no event"}';
    expect((await post(none, { 'paddle-signature': paddleSignature(none) })).status).toBe(400);
  });

  test('is not there while billing is off', async () => {
    const answer = await post(body, { 'paddle-signature': paddleSignature(body) }, off.origin);
    expect(answer.status).toBe(404);
  });

  test('leaves the bodies of other routes as they were', async () => {
    const answer = await owner.post('/api/billing/checkout', { price_id: 'pri_01team', more: 1 });
    expect(answer.status).toBe(400);
    expect(answer.body.error.code).toBe('invalid_request');
  });
});

describe('the dashboard', () => {
  test('says what is paid for, from the first event to the last', async () => {
    expect((await owner.get('/api/billing')).body).toMatchObject({
      billing: 'on',
      standing: 'none',
      subscription: null,
    });
    expect((await owner.post('/api/billing/portal')).body.error.code).toBe('no_subscription');
    expect(
      await deliver(gateway.origin, paddleEvent('subscription.created', { ...ids, orgId })),
    ).toBe(200);
    const { body } = await owner.get('/api/billing');
    expect(body).toMatchObject({
      standing: 'paid',
      subscription: {
        id: ids.subscriptionId,
        plan: 'Team',
        next_billed_at: '2027-01-01T00:00:00.000Z',
      },
      warnings: [],
    });
  });

  test('lists the plans of the seller, asking no more than once in a while', async () => {
    paddle.prices.push(priceData('pri_01other', {}));
    paddle.asked.length = 0;
    for (let i = 0; i < 3; i += 1) {
      const { body } = await owner.get('/api/billing/plans');
      expect(body.data).toEqual([
        {
          price_id: 'pri_01team',
          product_id: 'pro_01shunt',
          plan: 'Team',
          name: 'Team, monthly',
          amount: '9900',
          currency: 'USD',
          cycle: { interval: 'month', frequency: 1 },
          seats: 5,
          retention_days: 90,
          requests_per_month: 1_000_000,
        },
      ]);
    }
    expect(paddle.asked).toHaveLength(1);
  });

  test('opens the portal of the customer, and of a shared customer the one subscription alone', async () => {
    const { body } = await owner.post('/api/billing/portal', {});
    expect(body).toEqual({ url: 'https://portal.example.com/cpl_01' });
    const { database, config } = gateway.app.engine;
    const services = new OrganizationService(
      database,
      new SecretBox(config.encryptionKeys),
      systemClock,
    );
    const other = await services.create({ name: 'Other' }, ACTOR);
    const shared = { ...ids, subscriptionId: `sub_${run}other`, orgId: other.id };
    await deliver(gateway.origin, paddleEvent('subscription.created', shared));
    const data = subscriptionData('subscription.updated', new Date().toISOString(), ids);
    paddle.subscriptions.set(ids.subscriptionId, data);
    const answer = await owner.post('/api/billing/portal', {});
    expect(answer.body).toEqual({ url: `https://pay.example.com/${ids.subscriptionId}` });
  });

  test('opens one checkout, for the organization alone, and none beside a live subscription', async () => {
    const price = { price_id: 'pri_01team' };
    expect((await owner.post('/api/billing/checkout', price)).body.error.code).toBe(
      'already_subscribed',
    );
    const ended = { ...ids, orgId, occurredAt: new Date(Date.now() + 1_000).toISOString() };
    await deliver(gateway.origin, paddleEvent('subscription.canceled', ended));
    expect((await owner.post('/api/billing/checkout', { price_id: 'pri_01other' })).status).toBe(
      404,
    );
    paddle.asked.length = 0;
    const { status, body } = await owner.post('/api/billing/checkout', price);
    expect([status, body]).toEqual([
      200,
      { url: 'https://pay.example.com/checkout?_ptxn=txn_01test' },
    ]);
    expect(paddle.asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'POST /transactions',
    ]);
    expect(JSON.parse(paddle.asked[0]!.body)).toEqual({
      items: [{ price_id: 'pri_01team', quantity: 1 }],
      custom_data: { organization_id: orgId },
      customer_id: ids.customerId,
    });
  });

  test.each(['failing', 'refusing'] as const)('says so where Paddle is %s', async (mood) => {
    paddle.mood = mood;
    const answer = await owner.post('/api/billing/portal', {});
    paddle.mood = 'well';
    expect(answer.status).toBe(502);
    expect(answer.body.error.code).toBe('billing_unavailable');
    expect(answer.headers.get('retry-after')).toBe('30');
  });

  test('lets an owner change billing, and members read it', async () => {
    const { database, config } = gateway.app.engine;
    const services = new OrganizationService(
      database,
      new SecretBox(config.encryptionKeys),
      systemClock,
    );
    for (const role of ['admin', 'member'] as const) {
      const credentials = { email: `${role}@example.test`, password: 'a long password' };
      const made = await new UserService(database).create(credentials.email, credentials.password);
      if (made.kind !== 'created') throw new Error(made.kind);
      await services.addMember(orgId, made.userId, role, ACTOR);
      const client = await signIn(gateway, credentials);
      expect((await client.get('/api/billing')).status).toBe(200);
      expect((await client.get('/api/billing/plans')).status).toBe(200);
      for (const path of ['/api/billing/checkout', '/api/billing/portal']) {
        expect((await client.post(path, { price_id: 'pri_01team' })).status).toBe(403);
      }
    }
    const nobody = await anonymous(gateway);
    expect((await nobody.get('/api/billing')).status).toBe(401);
  });

  test('says that billing is off where it is', async () => {
    const client = await signIn(off, firstOwner(off));
    expect((await client.get('/api/billing')).body).toMatchObject({
      billing: 'off',
      standing: 'none',
    });
    const answers = [
      await client.get('/api/billing/plans'),
      await client.post('/api/billing/checkout', { price_id: 'pri_01team' }),
      await client.post('/api/billing/portal', {}),
    ];
    for (const { status, body } of answers) {
      expect([status, body.error.code]).toEqual([409, 'billing_off']);
    }
  });
});

test('an organization that is over every limit of its plan goes on calling, and is told', async () => {
  const plan = { plan: 'Tiny', seats: 0, retention_days: 1, requests_per_month: 0 };
  const tiny = { subscriptionId: `sub_${run}tiny`, customerId: ids.customerId, orgId, plan };
  await deliver(gateway.origin, paddleEvent('subscription.created', tiny));
  const chat = () =>
    fetch(`${gateway.origin}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${gateway.projectKey}`,
        'content-type': 'application/json',
      },
      body: '{"model":"gpt-5.4","messages":[{"role":"user","content":"hello"}]}',
    });
  expect((await chat()).status).toBe(200);
  const { limits, warnings } = (await owner.get('/api/billing')).body;
  expect(warnings.map(({ limit }: { limit: string }) => limit)).toEqual([
    'seats',
    'retention_days',
  ]);
  // Calls of the sandbox cost nothing and are not counted.
  expect(limits[2]).toEqual({ limit: 'requests_per_month', included: 0, used: 0, exceeded: false });
  expect((await chat()).status).toBe(200);
  expect((await owner.post('/api/projects', { name: 'one more' })).status).toBe(201);
});

test('while the database is away an event is answered with 503, so that it is delivered again', async () => {
  const { database } = gateway.app.engine;
  const real = database.transaction.bind(database);
  const { QueryError } = await import('../../../src/platform/postgres/query-error.js');
  database.transaction = () => Promise.reject(new QueryError('away', 'ECONNREFUSED', null, true));
  const event = paddleEvent('transaction.completed', { ...ids, orgId });
  expect(await deliver(gateway.origin, event)).toBe(503);
  database.transaction = () => Promise.reject(new Error(PAYER.name));
  expect(await deliver(gateway.origin, event)).toBe(500);
  database.transaction = real;
  expect(await deliver(gateway.origin, event)).toBe(200);
});

test('nothing of what names a payer is in a log, and neither is a secret', () => {
  const needles = { ...PAYER, ...PADDLE_ENV };
  const hunt = new LeakHunt(Object.entries(needles).map(([name, text]) => ({ name, text })));
  hunt.text('logs', gateway.logs());
  expect(gateway.logs()).toContain('billing event taken in');
  expect(hunt.hits).toEqual([]);
});
