import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Arguments } from '../../../src/cli/arguments.js';
import { priceCommands } from '../../../src/cli/prices.js';
import type { Session } from '../../../src/cli/session.js';
import type { NegotiatedPrices } from '../../../src/domain/pricing/negotiated-prices.js';
import { hashToken } from '../../../src/modules/api-keys/api-key-token.js';
import { PrincipalDirectory } from '../../../src/modules/api-keys/principal-directory.js';
import { buildCatalog, catalogRows } from '../../../src/modules/catalog/catalog.js';
import {
  NEGOTIATED_PRICES_MAX,
  NegotiatedPriceService,
  type NewAgreement,
} from '../../../src/modules/catalog/negotiated-price.service.js';
import type { NegotiatedRow } from '../../../src/modules/catalog/negotiated-prices.store.js';
import { snapshotCatalog } from '../../../src/modules/catalog/price-versions.store.js';
import { OrganizationService } from '../../../src/modules/organizations/organization.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { testDatabase, type TestDatabase, type TestTenant } from '../../support/postgres.js';
import { ACTOR } from '../../support/tenants.js';

const DAY_MS = 86_400_000;
const TODAY_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS;

let db: TestDatabase;
let agreements: NegotiatedPriceService;
const stops: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  db = await testDatabase();
  agreements = new NegotiatedPriceService(db.database, systemClock);
});
afterAll(async () => {
  for (const stop of stops.toReversed()) await stop();
  await db.close();
});

function agreed(inputTokens: bigint, rest: Partial<NewAgreement> = {}): NewAgreement {
  return {
    provider: 'openai',
    model: 'gpt-5.4',
    effectiveFromMs: TODAY_MS,
    prices: { inputTokens },
    tiers: [],
    ...rest,
  };
}

async function directoryOn(database: Database): Promise<PrincipalDirectory> {
  const terms = { production: false };
  const logger = createLogger('silent');
  const directory = new PrincipalDirectory(database, db.secretBox, systemClock, logger, terms);
  await directory.start();
  stops.push(() => directory.stop());
  return directory;
}

async function held(
  directory: PrincipalDirectory,
  tenant: TestTenant,
): Promise<readonly NegotiatedPrices[]> {
  const found = await directory.find(tenant.apiKey);
  if (found.kind !== 'known') throw new Error(found.kind);
  return found.principal.negotiatedPrices;
}

/** What the look-up by key answers with, as the database gives it. */
async function lookedUp(tenant: TestTenant): Promise<readonly NegotiatedRow[]> {
  const [row] = await db.database.query<{ negotiated_prices: NegotiatedRow[] }>(
    'SELECT negotiated_prices FROM find_principal($1)',
    [hashToken(tenant.apiKey)],
  );
  return row?.negotiated_prices ?? [];
}

/** Entries for many made-up models, straight into the table. */
async function insertMany(tenant: TestTenant, count: number): Promise<void> {
  await db.database.tenant(tenant.orgId, (q) =>
    q.query(
      `INSERT INTO negotiated_prices (org_id, provider, model, effective_from, prices, entered_by)
       SELECT $1, 'openai', 'model-' || n, '2026-01-01Z', '{"inputTokens":"1"}', 'test'
         FROM generate_series(1, $2::int) AS n`,
      [tenant.orgId, count],
    ),
  );
}

describe('price versions', () => {
  const catalog = buildCatalog();
  const count = async (): Promise<unknown> =>
    db.database.query('SELECT count(*)::int AS count, max(recorded_at) AS at FROM price_versions');

  test('a version is stored once, however often and by however many it is stored', async () => {
    await Promise.all([
      snapshotCatalog(db.database, catalog),
      snapshotCatalog(db.database, catalog),
    ]);
    const first = await count();
    expect(first).toMatchObject([{ count: catalogRows(catalog.models).length }]);
    await snapshotCatalog(db.database, catalog);
    expect(await count()).toEqual(first);
  });

  test('nobody changes or removes what a version said', async () => {
    await snapshotCatalog(db.database, catalog);
    for (const sql of [
      `UPDATE price_versions SET prices = '{}'`,
      'DELETE FROM price_versions',
      'TRUNCATE price_versions',
    ]) {
      await expect(db.owner.query(sql), sql).rejects.toMatchObject({ code: '23001' });
      await expect(db.database.query(sql), sql).rejects.toMatchObject({ code: '42501' });
    }
  });
});

describe('negotiated prices', () => {
  test('are never changed, and go only with what the owner of the schema removes', async () => {
    const tenant = await db.createTenant();
    await agreements.enter(tenant.orgId, agreed(1n), ACTOR);
    const asRuntime = (sql: string) => db.database.tenant(tenant.orgId, (q) => q.query(sql));
    const asOwner = (sql: string) => db.owner.tenant(tenant.orgId, (q) => q.query(sql));
    for (const sql of [
      `UPDATE negotiated_prices SET prices = '{}'`,
      'TRUNCATE negotiated_prices',
    ]) {
      await expect(asOwner(sql), sql).rejects.toMatchObject({ code: '23001' });
      await expect(asRuntime(sql), sql).rejects.toMatchObject({ code: '42501' });
    }
    const remove = 'DELETE FROM negotiated_prices';
    await expect(asRuntime(remove)).rejects.toMatchObject({ code: '42501' });
    await asOwner(remove);
    expect(await agreements.list(tenant.orgId)).toEqual([]);
  });

  test('are seen and entered by their organization alone, through table, view and look-up', async () => {
    const [a, b] = [await db.createTenant(), await db.createTenant()];
    await agreements.enter(a.orgId, agreed(1n), ACTOR);
    for (const relation of ['negotiated_prices', 'live_negotiated_prices']) {
      const select = `SELECT org_id FROM ${relation}`;
      expect(await db.database.query(select)).toEqual([]);
      expect(await db.database.tenant(b.orgId, (q) => q.query(select))).toEqual([]);
      expect(await db.database.directory((q) => q.query(select))).toEqual([]);
      expect(await db.database.tenant(a.orgId, (q) => q.query(select))).toEqual([
        { org_id: a.orgId },
      ]);
    }
    expect(await lookedUp(b)).toEqual([]);
    expect(await lookedUp(a)).toHaveLength(1);
    const intruding = db.database.tenant(b.orgId, (q) =>
      q.query(
        `INSERT INTO negotiated_prices (org_id, provider, model, effective_from, prices, entered_by)
         VALUES ($1, 'openai', 'gpt-5.4', '2026-01-01Z', '{}', 'b')`,
        [a.orgId],
      ),
    );
    await expect(intruding).rejects.toMatchObject({ code: '42501' });
  });

  test.each([
    ['an unknown provider', `'acme', 'm', '2026-01-01Z', '{}', '[]'`],
    ['a time within a day', `'openai', 'm', '2026-01-01T12:00Z', '{}', '[]'`],
    ['an amount that is a number', `'openai', 'm', '2026-01-01Z', '{"inputTokens":1.5}', '[]'`],
    ['an amount with a fraction', `'openai', 'm', '2026-01-01Z', '{"inputTokens":"1.5"}', '[]'`],
    ['a negative amount', `'openai', 'm', '2026-01-01Z', '{"inputTokens":"-1"}', '[]'`],
    [
      'the same in a tier',
      `'openai', 'm', '2026-01-01Z', '{}', '[{"above_prompt_tokens":1,"prices":{"inputTokens":"-1"}}]'`,
    ],
  ])('with %s are refused by the table', async (_what, values) => {
    const { orgId } = await db.createTenant();
    const inserting = db.database.tenant(orgId, (q) =>
      q.query(
        `INSERT INTO negotiated_prices
           (org_id, provider, model, effective_from, prices, tiers, entered_by)
         VALUES ($1, ${values}, 'test')`,
        [orgId],
      ),
    );
    await expect(inserting).rejects.toMatchObject({ code: '23514' });
  });

  test('that can still price a call come with the key: in force, replaced within a day, to come', async () => {
    const tenant = await db.createTenant();
    const days = [-30, -20, 0, 10];
    for (const offset of days) {
      const effectiveFromMs = TODAY_MS + offset * DAY_MS;
      await agreements.enter(
        tenant.orgId,
        agreed(BigInt(100 + offset), { effectiveFromMs }),
        ACTOR,
      );
    }
    // A correction counts from its day on; what it corrects is not needed any more.
    const correction = agreed(111n, {
      tiers: [{ abovePromptTokens: 5, prices: { inputTokens: 7n } }],
    });
    const result = await agreements.enter(tenant.orgId, correction, ACTOR);
    expect(result).toMatchObject({ kind: 'entered', agreement: { revision: 1 } });

    const prices = await held(await directoryOn(db.database), tenant);
    expect(
      prices.map((entry) => [
        (entry.effectiveFromMs - TODAY_MS) / DAY_MS,
        entry.revision,
        entry.prices.inputTokens,
      ]),
    ).toEqual([
      [-20, 0, 80n],
      [0, 1, 111n],
      [10, 0, 110n],
    ]);
    expect(prices[1]?.tiers).toEqual([{ abovePromptTokens: 5, prices: { inputTokens: 7n } }]);
    for (const part of [prices, prices[1], prices[1]?.prices]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
    expect(await agreements.list(tenant.orgId)).toHaveLength(5);
  });

  test('reach every replica within 1 s, like every change of the organization', async () => {
    const other = await db.connect();
    stops.push(() => other.close());
    const replicas = [await directoryOn(db.database), await directoryOn(other)];
    const tenant = await db.createTenant();
    for (const replica of replicas) expect(await held(replica, tenant)).toEqual([]);
    await agreements.enter(tenant.orgId, agreed(5n), ACTOR);
    await expect
      .poll(
        () => Promise.all(replicas.map(async (replica) => (await held(replica, tenant)).length)),
        {
          timeout: 1_000,
          interval: 5,
        },
      )
      .toEqual([1, 1]);
  });

  test('entered at the same time for the same day are revisions of it, none lost', async () => {
    const { orgId } = await db.createTenant();
    await Promise.all(
      [1n, 2n, 3n, 4n].map((price) => agreements.enter(orgId, agreed(price), ACTOR)),
    );
    const revisions = (await agreements.list(orgId)).map(({ revision }) => revision);
    expect(revisions).toEqual([3, 2, 1, 0]);
  });

  test('are bounded, so that none is left out of a look-up; a correction always fits', async () => {
    const tenant = await db.createTenant();
    await insertMany(tenant, NEGOTIATED_PRICES_MAX - 1);
    const entered = await agreements.enter(tenant.orgId, agreed(1n), ACTOR);
    expect(entered.kind).toBe('entered');
    const another = agreed(1n, { model: 'gpt-4o' });
    expect(await agreements.enter(tenant.orgId, another, ACTOR)).toEqual({ kind: 'too_many' });
    const corrected = await agreements.enter(tenant.orgId, agreed(2n), ACTOR);
    expect(corrected).toMatchObject({ agreement: { revision: 1 } });
    const rows = await lookedUp(tenant);
    expect(rows).toHaveLength(NEGOTIATED_PRICES_MAX);
    expect(rows.find(({ model }) => model === 'gpt-5.4')?.prices).toEqual({ inputTokens: '2' });
    const around = await db.createTenant();
    await insertMany(around, NEGOTIATED_PRICES_MAX + 1);
    expect(await lookedUp(around)).toHaveLength(NEGOTIATED_PRICES_MAX);
  });

  test('are not entered for an organization that does not exist', async () => {
    const nobody = '00000000-0000-4000-8000-000000000000';
    expect(await agreements.enter(nobody, agreed(1n), ACTOR)).toEqual({ kind: 'not_found' });
  });

  test('that this version cannot read are left out and keep no key from being known', async () => {
    const tenant = await db.createTenant();
    await agreements.enter(tenant.orgId, agreed(1n), ACTOR);
    await db.database.tenant(tenant.orgId, (q) =>
      q.query(
        `INSERT INTO negotiated_prices (org_id, provider, model, effective_from, prices, entered_by)
         VALUES ($1, 'openai', 'later', '2026-01-01Z', '{"thoughtTokens":"1"}', 'a newer version')`,
        [tenant.orgId],
      ),
    );
    const models = (await held(await directoryOn(db.database), tenant)).map(({ model }) => model);
    expect(models).toEqual(['gpt-5.4']);
  });
});

describe('the commands', () => {
  const run = async (name: string, options: Arguments['options']) => {
    const session = {
      organizations: new OrganizationService(db.database, db.secretBox, systemClock),
      negotiatedPrices: agreements,
      actor: { kind: 'command', name: 'test' },
    } as Session;
    const command = priceCommands.find((candidate) => candidate.name === name);
    if (command === undefined) throw new Error(name);
    return command.run(session, { options, positionals: [] });
  };

  test('enter an agreement, correct it, and list both beside the list price, exactly', async () => {
    const { orgId: org } = await db.createTenant({ name: 'Negotiator' });
    const named = { org, provider: 'openai', model: 'gpt-5.4', from: '2026-06-01' };
    const entered = await run('prices set', { ...named, input: '1.200000001', output: '4.80' });
    expect(entered.json).toMatchObject({
      from: '2026-06-01',
      revision: 0,
      prices: { input: '1.200000001', output: '4.80' },
    });
    expect(entered.text).toMatch(/savings ledger since that day .* within the hour/);
    const toCome = { ...named, from: '2099-01-01', model: 'gpt-5.4-mini', input: '1' };
    expect((await run('prices set', toCome)).text).not.toMatch(/savings ledger/);
    await run('prices set', { ...named, input: '1.10' });
    const listed = await run('prices list', {
      org,
      provider: 'openai',
      model: 'gpt-5.4-2026-03-05',
    });
    expect(listed.json).toMatchObject({
      list: [
        { model: 'gpt-5.4', abovePromptTokens: 0, prices: { input: '2.50', output: '15.00' } },
        { model: 'gpt-5.4', abovePromptTokens: 272_000 },
      ],
      agreements: [
        { revision: 1, state: 'in force', prices: { input: '1.10' }, enteredBy: 'command test' },
        { revision: 0, state: 'replaced', prices: { input: '1.200000001', output: '4.80' } },
      ],
    });
    expect(listed.text).toMatch(/^openai +gpt-5\.4 +\S+ +all +2\.50 +0\.25 +15\.00/m);
    expect(listed.text).toMatch(
      /^openai +gpt-5\.4 +2026-06-01 +0 +replaced +all +1\.200000001 +- +4\.80/m,
    );
  });

  test('say when a name is not one of the list, or one of several', async () => {
    const { orgId: org } = await db.createTenant();
    const rest = { org, provider: 'openai', from: '2026-06-01', input: '1' };
    const own = await run('prices set', { ...rest, model: 'my-own' });
    expect(own.text).toContain('The list has no such model');
    const dated = await run('prices set', { ...rest, model: 'gpt-5.4-2026-03-05' });
    expect(dated.text).toContain('for every name of the model enter gpt-5.4.');
  });
});
