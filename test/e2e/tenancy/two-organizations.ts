import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { appendEntriesWithin } from '../../../src/modules/ledger/ledger-columns.js';
import { mailOwnersWithin } from '../../../src/modules/mail/outbox.js';
import { UserService } from '../../../src/modules/organizations/user.service.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import { withConnection } from '../../../src/platform/postgres/single-connection.js';
import {
  json,
  startCapturingUpstream,
  type CapturingUpstream,
} from '../../support/capturing-upstream.js';
import { embeddedLogins } from '../../support/embedded-logins.js';
import { randomUnit } from '../../support/leak-hunt.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { ACTOR, addOrganization, type Tenant } from '../../support/tenants.js';
import { watchRoutes } from '../../support/watch-routes.js';
import { systemClock } from '../../../src/platform/clock.js';
import { routedEntryOf } from '../../integration/ledger/ledger-samples.js';

/** One of two organizations on one installation, each with rows in every table. */
export interface Member extends Tenant {
  readonly name: string;
  /** Its own key of each provider that it has one of. */
  readonly providerKeys: Readonly<
    Partial<Record<'openai' | 'anthropic' | 'google' | 'groq', string>>
  >;
  readonly customerId: string;
  /** The ids of the calls that it made. */
  readonly requestIds: string[];
}

export interface TwoOrganizations {
  readonly gateway: TestGateway;
  readonly upstream: CapturingUpstream;
  readonly secretBox: SecretBox;
  readonly a: Member;
  readonly b: Member;
  /** `GET /path`, as the framework's router has them. */
  readonly routes: readonly string[];
  /** As a superuser, whom row security does not bind. */
  asSuperuser<Row>(sql: string, parameters?: readonly unknown[]): Promise<Row[]>;
  /** A chat call with this member's key, and its id. */
  chat(member: Member, headers?: Readonly<Record<string, string>>): Promise<string>;
  stop(): Promise<void>;
}

/** Nothing of one is in the other, so that a part of it tells whose it is. */
const unique = (): string => randomUnit() + randomUnit() + randomUnit();

const A_KEYS = { openai: unique(), anthropic: unique(), google: unique() };
const B_KEYS = { openai: unique(), anthropic: unique(), groq: unique() };

export async function startTwoOrganizations(): Promise<TwoOrganizations> {
  const upstream = await startCapturingUpstream();
  upstream.answerWith((res) =>
    json(res, { model: 'gpt-5.4', choices: [], usage: { prompt_tokens: 5, completion_tokens: 3 } }),
  );
  const routes = watchRoutes();
  const gateway = await startGateway({
    env: {
      OPENAI_BASE_URL: `${upstream.origin}/v1`,
      ANTHROPIC_BASE_URL: upstream.origin,
      GOOGLE_BASE_URL: upstream.origin,
      GROQ_BASE_URL: upstream.origin,
      OPENAI_API_KEY: A_KEYS.openai,
      ANTHROPIC_API_KEY: A_KEYS.anthropic,
      GEMINI_API_KEY: A_KEYS.google,
    },
  });
  const { database, config, principals } = gateway.app.engine;
  const secretBox = new SecretBox(config.encryptionKeys);
  const found = await principals.find(gateway.projectKey);
  if (found.kind !== 'known') throw new Error(found.kind);
  const { orgId, projectId, apiKeyId } = found.principal;
  const first = { orgId, projectId, apiKeyId, apiKey: gateway.projectKey };
  const second = await addOrganization(database, secretBox, 'Second', B_KEYS);
  const rig: TwoOrganizations = {
    gateway,
    upstream,
    secretBox,
    a: { ...first, name: 'A', providerKeys: A_KEYS, customerId: unique(), requestIds: [] },
    b: { ...second, name: 'B', providerKeys: B_KEYS, customerId: unique(), requestIds: [] },
    routes,
    asSuperuser: (sql, parameters) => {
      const { superuserUrl } = embeddedLogins(gateway.dataDir);
      const options = { url: superuserUrl, statementTimeoutMs: 10_000 };
      return withConnection(options, (q) => q.query(sql, parameters));
    },
    chat: (member, headers) => chat(gateway.origin, member, headers),
    async stop() {
      await gateway.stop();
      await upstream.close();
    },
  };
  try {
    await furnish(rig);
    return rig;
  } catch (error) {
    await rig.stop();
    throw error;
  }
}

/** Rows of both in every table, so that an empty table does not pass for a guarded one. */
async function furnish({ gateway, secretBox, a, b, asSuperuser, chat: ask }: TwoOrganizations) {
  const { database, recorder } = gateway.app.engine;
  const organizations = new OrganizationService(database, secretBox, systemClock);
  for (const member of [a, b]) {
    const made = await new UserService(database).create(
      `${member.name}@example.test`,
      'long-enough',
    );
    if (made.kind !== 'created') throw new Error(made.kind);
    await organizations.addMember(member.orgId, made.userId, 'member', ACTOR);
    await asSuperuser(
      `INSERT INTO negotiated_prices (org_id, provider, model, effective_from, prices, entered_by)
       VALUES ($1, 'openai', $2, date_trunc('day', now()), '{}', 'test')`,
      [member.orgId, `model-of-${member.name}`],
    );
    await database.tenant(member.orgId, (q) =>
      mailOwnersWithin(q, member.orgId, {
        kind: 'observation_started',
        dedupeKey: 'test',
        atMs: Date.now(),
      }),
    );
    await asSuperuser(
      `WITH c AS (INSERT INTO billing_customers VALUES ($1, $2)),
            s AS (INSERT INTO billing_subscriptions (org_id, subscription_id) VALUES ($1, $3))
       INSERT INTO billing_inbox (event_id, org_id, type, occurred_at, received_at, payload, state)
       VALUES ($4, $1, 'subscription.created', now(), now(), '{}', 'noted')`,
      [member.orgId, `ctm_${member.name}`, `sub_${member.name}`, `evt_${member.name}`],
    );
    await asSuperuser(
      `WITH o AS (INSERT INTO observations (org_id, started_at, ends_at) VALUES ($1::uuid, now(), now() + interval '1 day')),
            r AS (INSERT INTO reports VALUES ($1::uuid, gen_random_uuid(), 'on_demand', now(), now(), now(), '{"version":1}', '{}'))
       INSERT INTO observation_steps VALUES ($1::uuid, 'interim_report', now(), 'done', now(), NULL)`,
      [member.orgId],
    );
    await asSuperuser(
      `INSERT INTO route_rules (org_id, id, project_id, route_class, targets, created_by, created_at)
       VALUES ($1, gen_random_uuid(), $2, '*', '[{"provider":"openai","model":"gpt-6-luna"}]', 'test', now())`,
      [member.orgId, member.projectId],
    );
    await asSuperuser(
      `WITH s AS (INSERT INTO savings_statements
                    VALUES ($1::uuid, gen_random_uuid(), '2026-10-01', 1, now(), '{}', repeat('A', 86), 'test')),
            i AS (INSERT INTO invoice_imports
                    VALUES ($1::uuid, $1::uuid, 1, 'openai', 'cost', now(), '2026-10-01', '2026-10-01', 1, sha256('')))
       INSERT INTO invoice_lines VALUES ($1::uuid, $1::uuid, '2026-10-01', 'test', false, 0, 0, 1)`,
      [member.orgId],
    );
    await asSuperuser(
      `INSERT INTO invitations (org_id, id, token_hash, role, address_sealed, invited_by, created_at, expires_at)
       VALUES ($1::uuid, gen_random_uuid(), sha256($1::uuid::text::bytea), 'member', '', gen_random_uuid(), now(), now())`,
      [member.orgId],
    );
    await asSuperuser(
      `INSERT INTO unpriced_calls (org_id, request_id, call, kept_until)
       VALUES ($1, gen_random_uuid(), '{}', now() + interval '1 day')`,
      [member.orgId],
    );
    await database.tenant(member.orgId, (q) =>
      appendEntriesWithin(q, [routedEntryOf(member.orgId, { project_id: member.projectId })]),
    );
    for (let i = 0; i < 3; i += 1) member.requestIds.push(await ask(member));
  }
  await gateway.app.engine.services.ledgerSealer.sealDue();
  if (!(await recorder.flush(20_000))) throw new Error('records were not written in time');
}

async function chat(
  origin: string,
  { apiKey, customerId }: Member,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const answer = await fetch(`${origin}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${apiKey}`,
      'content-type': 'application/json',
      'x-shunt-customer-id': customerId,
      'x-shunt-tags': customerId,
      ...headers,
    },
    body: '{"model":"gpt-5.4","messages":[{"role":"user","content":"the same of both"}]}',
  });
  await answer.arrayBuffer();
  return answer.headers.get('x-shunt-request-id') ?? '';
}
