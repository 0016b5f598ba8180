import { randomUUID } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { MailSender, type MailSenderContext } from '../../../src/modules/mail/mail-sender.js';
import type { MailEnd, MailObserver } from '../../../src/modules/mail/mail-metrics.js';
import { mailUserWithin, type MailKind } from '../../../src/modules/mail/outbox.js';
import type { MailState } from '../../../src/modules/mail/outbox.store.js';
import { ReminderSubscription } from '../../../src/modules/mail/reminder-subscription.js';
import {
  SMTP_LIMITS,
  SmtpTransport,
  type SmtpLimits,
} from '../../../src/modules/mail/smtp-transport.js';
import type { MemberRole } from '../../../src/domain/policy/permissions.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { TestSmtpServer } from '../../support/smtp.js';

export const FROM = 'Shunt <shunt@mail.example.com>';
export const PUBLIC_URL = 'https://shunt.example.com';
export const SESSION_SECRET = 'a secret of the sessions, long enough';
const START_MS = Date.UTC(2026, 10, 20, 12);

/** A time that only the test moves. */
export class HandClock {
  constructor(private ms = START_MS) {}
  nowMs(): number {
    return this.ms;
  }
  pass(ms: number): void {
    this.ms += ms;
  }
}

export interface OutboxRow {
  readonly id: string;
  readonly kind: MailKind;
  readonly state: MailState;
  readonly attempts: number;
  readonly last_error: string | null;
  readonly sealed: Buffer | null;
  readonly sent_at: Date | null;
  readonly next_attempt_at: Date;
}

/** A database, a mail server, a clock, and a log that is kept. */
export class MailRig {
  readonly clock = new HandClock();
  readonly ended: string[] = [];
  readonly #logged: Buffer[] = [];
  readonly logger;
  readonly reminders: ReminderSubscription;
  backlog: [waiting: number, oldestAgeMs: number] = [0, 0];

  private constructor(
    readonly db: TestDatabase,
    readonly smtp: TestSmtpServer,
  ) {
    const stream = new PassThrough();
    stream.on('data', (chunk: Buffer) => this.#logged.push(chunk));
    this.logger = createLogger('trace', stream);
    this.reminders = new ReminderSubscription(db.database, SESSION_SECRET);
  }

  static async start(): Promise<MailRig> {
    return new MailRig(await testDatabase(), await TestSmtpServer.start());
  }

  async stop(): Promise<void> {
    await this.smtp.stop();
    await this.db.close();
  }

  get log(): string {
    return Buffer.concat(this.#logged).toString();
  }

  transport(limits: Partial<SmtpLimits> = {}, url = this.smtp.url): SmtpTransport {
    return new SmtpTransport(url, false, { ...SMTP_LIMITS, ...limits });
  }

  sender(changes: Partial<MailSenderContext> = {}): MailSender {
    const sender = new MailSender({
      database: this.db.database,
      secretBox: this.db.secretBox,
      clock: this.clock,
      logger: this.logger,
      reminders: this.reminders,
      office: { transport: this.transport(), site: { publicUrl: PUBLIC_URL, from: FROM } },
      ...changes,
    });
    sender.observe(this.observer());
    return sender;
  }

  /** As `sender`, with limits short enough to wait for. */
  impatient(limits: Partial<SmtpLimits>): MailSender {
    const site = { publicUrl: PUBLIC_URL, from: FROM };
    return this.sender({ office: { transport: this.transport(limits), site } });
  }

  observer(): MailObserver {
    return {
      ended: (kind: MailKind, end: MailEnd) => this.ended.push(`${kind} ${end}`),
      deferred: (kind) => this.ended.push(`${kind} deferred`),
      serverAway: () => this.ended.push('server away'),
      backlog: (waiting, oldestAgeMs) => {
        this.backlog = [waiting, oldestAgeMs];
      },
    };
  }

  async organization(name?: string): Promise<string> {
    return (await this.db.createTenant({ name })).orgId;
  }

  async member(orgId: string, email: string, role: MemberRole = 'owner'): Promise<string> {
    const userId = randomUUID();
    await this.db.database.query(
      "INSERT INTO users (id, email, password_hash) VALUES ($1, $2, 'none')",
      [userId, email],
    );
    await this.db.database.tenant(orgId, (q) =>
      q.query('INSERT INTO memberships (org_id, user_id, role) VALUES ($1, $2, $3)', [
        orgId,
        userId,
        role,
      ]),
    );
    return userId;
  }

  /** As many mails of one kind to one member, a second apart. */
  async enqueue(
    orgId: string,
    userId: string,
    count: number,
    kind: MailKind = 'status_changed',
  ): Promise<void> {
    await this.db.database.tenant(orgId, async (q) => {
      for (let number = 0; number < count; number += 1) {
        await mailUserWithin(q, orgId, userId, {
          kind,
          dedupeKey: randomUUID(),
          atMs: this.clock.nowMs() - (count - number) * 1_000,
          data: { to: 'active', auditSeq: number + 1 },
        });
      }
    });
  }

  /** Oldest first. */
  async rows(orgId: string): Promise<OutboxRow[]> {
    return this.db.database.tenant(orgId, (q) =>
      q.query<OutboxRow>('SELECT * FROM outbox ORDER BY outbox.created_at, outbox.id'),
    );
  }

  async states(orgId: string): Promise<string[]> {
    return (await this.rows(orgId)).map(({ state }) => state);
  }

  /** Nothing of an earlier test is left to send. */
  async clear(): Promise<void> {
    this.smtp.reset();
    this.ended.length = 0;
    const due = await this.db.database.query<{ id: string }>(
      `SELECT id FROM organizations_with_due_mail('infinity', 'infinity', 1000) AS id`,
    );
    for (const { id } of due) {
      await this.db.database.tenant(id, (q) =>
        q.query(
          `UPDATE outbox SET state = 'failed', claimed_at = NULL, sealed = NULL WHERE state IN ('pending', 'sending')`,
        ),
      );
    }
  }
}
