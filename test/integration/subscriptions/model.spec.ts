import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Actor } from '../../../src/domain/subscription/actor.js';
import { replayStep, START } from '../../../src/domain/subscription/transition-replay.js';
import {
  SUBSCRIPTION_EVENTS,
  TRANSITIONS,
  type SubscriptionEvent,
} from '../../../src/domain/subscription/transitions.js';
import type { AuditEntry } from '../../../src/modules/audit/audit-entry.js';
import { auditWithin } from '../../../src/modules/audit/audit-trail.js';
import { AuditVerifier } from '../../../src/modules/audit/audit-verifier.js';
import { UserService } from '../../../src/modules/organizations/user.service.js';
import { SubscriptionService } from '../../../src/modules/subscriptions/subscription.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import { isUnavailable } from '../../../src/platform/postgres/query-error.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { entriesOf, statusOf } from './trail.js';

/** 10,000 events in all: in each round fresh organizations, which everybody acts on at the same time. */
const ROUNDS = 10;
const EVENTS_PER_ROUND = 1_000;
const ORGANIZATIONS = 5;
const AT_ONCE = 16;
const OWNERS = 2;
const TIMEOUT_MS = 240_000;

const ACTORS: readonly Actor[] = [
  { kind: 'member', id: 'olivia', role: 'owner' },
  { kind: 'member', id: 'adam', role: 'admin' },
  { kind: 'member', id: 'mia', role: 'member' },
  { kind: 'operator', name: 'oscar' },
  { kind: 'operator', name: 'olga' },
  { kind: 'command', name: 'root' },
  { kind: 'job', name: 'window_close' },
  { kind: 'billing', source: 'webhook' },
  { kind: 'billing', source: 'reconciliation' },
  { kind: 'system', part: 'bootstrap' },
];

interface Replica {
  readonly database: Database;
  readonly subscriptions: SubscriptionService;
}

let db: TestDatabase;
let replicas: Replica[];
/** The runtime's login without its role: may end the sessions of its like. */
let killer: Database;
let owners: string[];

beforeAll(async () => {
  db = await testDatabase();
  killer = await db.connect({ role: null, poolSize: 2 });
  const users = new UserService(db.database);
  owners = [];
  for (let i = 0; i < OWNERS; i += 1) {
    const made = await users.create(`owner-${i}@example.test`, 'a-long-password');
    if (made.kind !== 'created') throw new Error(made.kind);
    owners.push(made.userId);
  }
  replicas = [];
  // The last one finds no subscription paid.
  for (const payment of ['off', 'paid', 'unpaid'] as const) {
    const database = await db.connect({ poolSize: 6 });
    const subscriptions = new SubscriptionService(database, systemClock, async () => payment);
    replicas.push({ database, subscriptions });
  }
});
afterAll(async () => {
  await Promise.all(replicas?.map(({ database }) => database.close()) ?? []);
  await killer?.close();
  await db?.close();
});

/**
 * What happens around an event: nothing, the rest of its transaction fails, its connection is cut before or while it
 * commits, its savepoint is taken back and something else goes on, or an entry of something else stands beside it.
 */
const FAULTS = [
  'throws_after',
  'cut_before_commit',
  'cut_at_commit',
  'savepoint_undone',
  'beside_another_entry',
] as const;
type Fault = (typeof FAULTS)[number] | 'none';

/** Nothing of the event may stay. */
const UNDOES: ReadonlySet<Fault> = new Set([
  'throws_after',
  'cut_before_commit',
  'savepoint_undone',
]);

interface Step {
  readonly org: number;
  readonly replica: number;
  readonly by: readonly [SubscriptionEvent, Actor];
  readonly fault: Fault;
}

const anyEvent = fc.constantFrom(...SUBSCRIPTION_EVENTS);
const anyActor = fc.constantFrom(...ACTORS);
const permitted = SUBSCRIPTION_EVENTS.flatMap((event) =>
  ACTORS.filter((actor) => TRANSITIONS[event].by.some((kind) => kind === actor.kind)).map(
    (actor) => [event, actor] as const,
  ),
);
const by: fc.Arbitrary<Step['by']> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...permitted) },
  { weight: 1, arbitrary: fc.tuple(anyEvent, anyActor) },
);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    org: fc.nat(ORGANIZATIONS - 1),
    replica: fc.nat(2),
    by,
    fault: fc.oneof(
      { weight: 22, arbitrary: fc.constant<Fault>('none') },
      { weight: 3, arbitrary: fc.constantFrom<Fault>(...FAULTS) },
    ),
  }),
  { minLength: EVENTS_PER_ROUND, maxLength: EVENTS_PER_ROUND, size: 'max' },
);

/** What the callers were told, by the tag that each event carries into its entry. */
interface Told {
  readonly changed: Set<string>;
  /** The connection was cut, perhaps while it committed: it may be either. */
  readonly unknown: Set<string>;
  readonly beside: Set<string>;
}

class Undone extends Error {}

async function act(orgId: string, tag: string, step: Step, told: Told): Promise<void> {
  const { database, subscriptions } = replicas[step.replica]!;
  let isChanged = false;
  try {
    await database.tenant(orgId, async (q) => {
      if (step.fault === 'savepoint_undone') await q.query('SAVEPOINT event');
      const applied = await subscriptions.applyWithin(q, orgId, {
        event: step.by[0],
        actor: step.by[1],
        reason: 'model',
        details: { tag },
      });
      isChanged = applied.kind === 'changed';
      await meet(step.fault, q, orgId, tag);
    });
  } catch (error) {
    if (!isExpected(step.fault, error)) throw error;
    if (isChanged && !UNDOES.has(step.fault)) told.unknown.add(tag);
    return;
  }
  if (isChanged && step.fault !== 'savepoint_undone') told.changed.add(tag);
  if (step.fault === 'savepoint_undone' || step.fault === 'beside_another_entry') {
    told.beside.add(tag);
  }
}

async function meet(fault: Fault, q: Queryable, orgId: string, tag: string): Promise<void> {
  switch (fault) {
    case 'none':
      return;
    case 'throws_after':
      throw new Undone();
    case 'cut_before_commit':
      await cut(await pidOf(q));
      await q.query('SELECT 1');
      return;
    case 'cut_at_commit':
      void cut(await pidOf(q)).catch(() => undefined);
      return;
    case 'savepoint_undone':
      await q.query('ROLLBACK TO SAVEPOINT event');
      await besides(q, orgId, tag);
      return;
    case 'beside_another_entry':
      await besides(q, orgId, tag);
  }
}

async function besides(q: Queryable, orgId: string, tag: string): Promise<void> {
  const actor: Actor = { kind: 'job', name: 'model' };
  await auditWithin(q, orgId, { actor, action: 'report.created', atMs: 1, details: { tag } });
}

async function pidOf(q: Queryable): Promise<number> {
  const [row] = await q.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return row!.pid;
}

async function cut(pid: number): Promise<void> {
  await killer.query('SELECT pg_terminate_backend($1, 2000)', [pid]);
}

function isExpected(fault: Fault, error: unknown): boolean {
  if (error instanceof Undone) return fault === 'throws_after';
  // A cut may also hit the next borrower of the connection, if the pool has not noticed yet.
  return isUnavailable(error);
}

const seen = { events: 0, entries: 0, unknown: 0, pairs: new Set<string>() };

test(
  'whatever happens at the same time, the status is what the trail tells, and each step was told once',
  async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (given) => {
        const orgs: string[] = [];
        for (let i = 0; i < ORGANIZATIONS; i += 1) orgs.push(await organizationWithOwners(i > 0));
        const told: Told = {
          changed: new Set(),
          unknown: new Set(),
          beside: new Set(),
        };
        let next = 0;
        const worker = async () => {
          for (let i = next++; i < given.length; i = next++) {
            const step = given[i]!;
            await act(orgs[step.org]!, randomUUID(), step, told);
            seen.events += 1;
          }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, worker));
        const inTrail = new Set<string>();
        for (const [index, orgId] of orgs.entries()) await check(orgId, index > 0, told, inTrail);
        for (const tag of [...told.changed, ...told.beside]) expect(inTrail).toContain(tag);
        seen.unknown += told.unknown.size;
      }),
      { numRuns: ROUNDS, endOnFailure: true },
    );
    expect(seen.events).toBe(ROUNDS * EVENTS_PER_ROUND);
    // The walk went everywhere, else it would show little.
    expect(seen.entries).toBeGreaterThan(1_000);
    expect(seen.pairs.size).toBeGreaterThan(20);
  },
  TIMEOUT_MS,
);

async function organizationWithOwners(hasOwners: boolean): Promise<string> {
  const { orgId } = await db.createTenant();
  if (!hasOwners) return orgId;
  await db.database.tenant(orgId, async (q) => {
    for (const userId of owners) {
      await q.query(`INSERT INTO memberships (org_id, user_id, role) VALUES ($1, $2, 'owner')`, [
        orgId,
        userId,
      ]);
    }
  });
  return orgId;
}

/** Everything that the promise says, of one organization. */
async function check(
  orgId: string,
  hasOwners: boolean,
  told: Told,
  inTrail: Set<string>,
): Promise<void> {
  const entries = await entriesOf(db, orgId);
  let stands = START;
  const moves: AuditEntry[] = [];
  for (const entry of entries) {
    const { tag, hold } = JSON.parse(entry.details) as { tag?: string; hold?: unknown };
    if (entry.action.startsWith('subscription.')) {
      const event = entry.action.slice('subscription.'.length);
      const after = replayStep(stands, {
        event,
        actorKind: entry.actorKind,
        from: entry.oldValue,
        to: entry.newValue,
        hold,
      });
      expect(after, `${JSON.stringify(stands)} then ${JSON.stringify(entry)}`).not.toBeNull();
      stands = after!;
      moves.push(entry);
      seen.pairs.add(`${event} ${entry.oldValue} ${entry.newValue}`);
      // Nothing is in the trail that its caller was told had not happened.
      expect(told.changed.has(tag ?? '') || told.unknown.has(tag ?? '')).toBe(true);
    }
    if (tag === undefined) continue;
    const key = `${tag} ${entry.action}`;
    expect(inTrail).not.toContain(key);
    inTrail.add(key).add(tag);
  }
  seen.entries += moves.length;
  expect(await statusOf(db, orgId)).toEqual(stands);
  const verdict = await new AuditVerifier(db.database).verify(orgId);
  expect(verdict).toMatchObject({ broken: null, verified: entries.length, standing: stands });
  expect(await newsOf(orgId)).toEqual(
    moves.map(({ seq }) => ({ seq, recipients: hasOwners ? owners.toSorted() : [null] })),
  );
}

async function newsOf(orgId: string): Promise<unknown[]> {
  return db.database.tenant(orgId, (q) =>
    q.query(
      `SELECT (data ->> 'auditSeq')::float8 AS seq, array_agg(recipient_user_id::text ORDER BY recipient_user_id) AS recipients
         FROM outbox WHERE kind = 'status_changed' GROUP BY 1 ORDER BY 1`,
    ),
  );
}
