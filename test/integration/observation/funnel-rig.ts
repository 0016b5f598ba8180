import { randomUUID } from 'node:crypto';
import type { Actor } from '../../../src/domain/subscription/actor.js';
import { ActivationService } from '../../../src/modules/observation/activation.service.js';
import { ObservationFunnel } from '../../../src/modules/observation/observation-funnel.js';
import { ObservationService } from '../../../src/modules/observation/observation.service.js';
import { ReportService } from '../../../src/modules/observation/report.service.js';
import type { CallRecord } from '../../../src/modules/records/call-record.js';
import { INSERT_RECORDS } from '../../../src/modules/records/request-log-columns.js';
import { SubscriptionService } from '../../../src/modules/subscriptions/subscription.service.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { finalOf, startOf } from '../records/record-samples.js';

export const DAY_MS = 24 * 60 * 60 * 1000;
export const OWNER = { kind: 'member', id: 'olivia', role: 'owner' } as const satisfies Actor;
export const OPERATOR = { kind: 'operator', name: 'olga' } as const satisfies Actor;
const logger = createLogger('silent');

/** Time stands still until a test moves it; day 0 is today, because calls are stored in months around it. */
export class FunnelClock {
  readonly startMs = Math.floor(Date.now() / 1000) * 1000;
  day = 0;

  nowMs(): number {
    return this.atDay(this.day);
  }

  atDay(day: number): number {
    return Math.round(this.startMs + day * DAY_MS);
  }
}

export interface FunnelState {
  readonly status: string;
  readonly window: readonly [startDay: number, endDay: number] | null;
  readonly isFinished: boolean;
  /** `<step> <outcome> <day>` */
  readonly steps: readonly string[];
  /** `<kind> <from day>-<to day> <calls>` */
  readonly reports: readonly string[];
  /** `<kind> <dedupe key>`, of each recipient. */
  readonly mails: readonly string[];
  /** `<action> <actor> <subject> <new value>` */
  readonly trail: readonly string[];
}

export interface FunnelRig {
  readonly db: TestDatabase;
  readonly clock: FunnelClock;
  readonly subscriptions: SubscriptionService;
  readonly reports: ReportService;
  readonly activations: ActivationService;
  readonly observations: ObservationService;
  /** A new process: nothing is left of what another had in mind. */
  funnel(database?: Database): ObservationFunnel;
  /** An organization with one owner and no call yet. */
  organization(): Promise<string>;
  calls(orgId: string, records: readonly Partial<CallRecord>[], day?: number): Promise<void>;
  state(orgId: string): Promise<FunnelState>;
  close(): Promise<void>;
}

export async function funnelRig(): Promise<FunnelRig> {
  const db = await testDatabase();
  const clock = new FunnelClock();
  const { database } = db;
  const subscriptionsOn = (on: Database): SubscriptionService =>
    new SubscriptionService(on, clock, async () => 'off');
  return {
    db,
    clock,
    subscriptions: subscriptionsOn(database),
    reports: new ReportService(database, clock),
    activations: new ActivationService(database, clock, subscriptionsOn(database)),
    observations: new ObservationService(database, clock),
    funnel: (on = database) => new ObservationFunnel(on, clock, subscriptionsOn(on), logger),
    organization: () => organization(db),
    calls: (orgId, records, day = clock.day) => calls(database, orgId, records, clock.atDay(day)),
    state: (orgId) => state(database, clock, orgId),
    close: () => db.close(),
  };
}

async function organization({ database, createTenant }: TestDatabase): Promise<string> {
  const { orgId } = await createTenant();
  const userId = randomUUID();
  await database.query('INSERT INTO users (id, email, password_hash) VALUES ($1, $2, $3)', [
    userId,
    `${userId}@example.test`,
    'none',
  ]);
  await database.tenant(orgId, (q) =>
    q.query(`INSERT INTO memberships (org_id, user_id, role) VALUES ($1, $2, 'owner')`, [
      orgId,
      userId,
    ]),
  );
  return orgId;
}

async function calls(
  database: Database,
  orgId: string,
  records: readonly Partial<CallRecord>[],
  firstAtMs: number,
): Promise<void> {
  const stored = records.map((changes, i) =>
    finalOf(startOf(firstAtMs + i, { org_id: orgId }), changes),
  );
  await database.tenant(orgId, (q) => q.query(INSERT_RECORDS, [JSON.stringify(stored)]));
}

async function state(database: Database, clock: FunnelClock, orgId: string): Promise<FunnelState> {
  const dayOf = (at: Date): number => (at.getTime() - clock.startMs) / DAY_MS;
  return database.tenant(orgId, async (q) => {
    const texts = async (sql: string): Promise<string[]> =>
      (await q.query<{ text: string }>(sql)).map(({ text }) => text);
    const [org] = await q.query<{ status: string }>('SELECT status FROM organizations');
    const [window] = await q.query<{ from: Date; to: Date; next: Date | null }>(
      'SELECT started_at AS from, ends_at AS to, next_due_at AS next FROM observations',
    );
    const steps = await q.query<{ step: string; outcome: string; at: Date }>(
      'SELECT step, outcome, at FROM observation_steps ORDER BY at, due_at, step',
    );
    const reports = await q.query<{ kind: string; from: Date; to: Date; calls: number }>(
      `SELECT kind, period_from AS from, period_to AS to, figures -> 'calls' AS calls
         FROM reports ORDER BY created_at, kind`,
    );
    return {
      status: org?.status ?? 'gone',
      window: window === undefined ? null : [dayOf(window.from), dayOf(window.to)],
      isFinished: window !== undefined && window.next === null,
      steps: steps.map(({ step, outcome, at }) => `${step} ${outcome} ${dayOf(at)}`),
      reports: reports.map((row) => `${row.kind} ${dayOf(row.from)}-${dayOf(row.to)} ${row.calls}`),
      mails: await texts(
        `SELECT kind || ' ' || regexp_replace(dedupe_key, ':[0-9a-f-]{36}$', '') AS text
           FROM outbox ORDER BY created_at, text`,
      ),
      trail: await texts(
        `SELECT concat_ws(' ', action, actor, CASE WHEN action = 'report.created' THEN 'id' ELSE subject END, new_value) AS text
           FROM audit_log WHERE action ~ '^(observation|report|subscription)[.]' ORDER BY seq`,
      ),
    };
  });
}
