import { randomUUID } from 'node:crypto';
import type { Clock } from '../../platform/clock.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Logger } from '../../platform/telemetry/logger.js';
import { outcomeOf } from './delivery-outcome.js';
import { NO_OBSERVER, type MailEnd, type MailObserver } from './mail-metrics.js';
import { MailServerAway, type MailSession } from './mail-transport.js';
import type { MailKind } from './outbox.js';
import {
  claimWithin,
  finishWithin,
  settleWithin,
  type ClaimedMail,
  type MailOutcome,
} from './outbox.store.js';
import { prepareMail, type MailOffice, type Prepared } from './prepare-mail.js';
import type { ReminderSubscription } from './reminder-subscription.js';

export interface MailSenderContext {
  readonly database: Pick<Database, 'query' | 'tenant'>;
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly reminders: ReminderSubscription;
  /** Null: mail is off, and waits in the outbox. */
  readonly office: MailOffice | null;
}

export type SendReport = Readonly<Record<MailEnd | 'deferred', number>>;

const ORGANIZATIONS_PER_RUN_MAX = 200;
/** No delivery is begun later in a run. */
export const RUN_MS_MAX = 2 * 60_000;
const MAILS_PER_RUN_MAX = 500;
const MAILS_PER_ORGANIZATION_MAX = 50;
const SESSIONS_MAX = 4;
const MAILS_PER_SESSION_MAX = 50;
/** Far longer than an attempt can take (smtp-transport.ts): who held such a claim is dead. */
const CLAIM_MS_MAX = 15 * 60_000;
/** A body is begun in this time or not at all: a process that slept through its claim sends nothing. */
const CLAIM_MS_TO_BEGIN = 3 * 60_000;
const AWAY_MS_MIN = 60_000;
const AWAY_MS_MAX = 15 * 60_000;
const UNSAVED_MAX = 100;
const CLOSE_MS_MAX = 10_000;
const SWEEP_BATCH = 1_000;
const SWEEP_BATCHES_MAX = 50;

/** One run's own state. */
interface Run {
  readonly office: MailOffice;
  readonly organizations: string[];
  readonly counts: Record<MailEnd | 'deferred', number>;
  readonly untilMs: number;
  readonly signal: AbortSignal | undefined;
  taken: number;
}

/**
 * Sends what is due in the outbox. A row is claimed, and the claim committed, before the first byte goes out; an
 * attempt whose end is in doubt is never repeated (`unconfirmed`). Several processes may send at once.
 *
 * While the mail server cannot be reached at all nothing is claimed: an outage costs no row an attempt, nor its place.
 */
export class MailSender {
  #observer: MailObserver = NO_OBSERVER;
  #running: Promise<SendReport> | null = null;
  #closing = false;
  #awayUntilMs = 0;
  #awayMs = 0;
  /** Ends that the database could not take down; lost with the process, and then these rows are unconfirmed. */
  readonly #unsaved: { claimed: ClaimedMail; outcome: MailOutcome }[] = [];
  readonly #sessions = new Set<MailSession>();

  constructor(private readonly context: MailSenderContext) {}

  observe(observer: MailObserver): void {
    this.#observer = observer;
  }

  /** Whether there is a mail server; without one, mail waits for an operator to hand it over. */
  get isOn(): boolean {
    return this.context.office !== null;
  }

  /**
   * One bounded run, which begins no delivery after the signal; a call during a run gets that run. Rejects where the
   * database does not answer.
   */
  async sendDue(signal?: AbortSignal): Promise<SendReport> {
    this.#running ??= this.#run(signal).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Deletes what ended 30 days ago, in bounded batches. Returns how many rows. */
  async sweep(signal?: AbortSignal): Promise<number> {
    let deleted = 0;
    for (let batch = 0; batch < SWEEP_BATCHES_MAX; batch += 1) {
      if (this.#closing || signal?.aborted) break;
      const [row] = await this.context.database.query<{ gone: number }>(
        'SELECT delete_finished_mail($1, $2) AS gone',
        [new Date(this.context.clock.nowMs()), SWEEP_BATCH],
      );
      const gone = row?.gone ?? 0;
      deleted += gone;
      if (gone < SWEEP_BATCH) break;
    }
    return deleted;
  }

  /** Takes no more mails; what is on its way may end within a limit, and is cut off then. */
  async close(): Promise<void> {
    this.#closing = true;
    const ended = this.#running?.then(
      () => undefined,
      () => undefined,
    );
    if (!ended) return;
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS_MAX);
    });
    await Promise.race([ended, limit]);
    clearTimeout(timer);
    for (const session of this.#sessions) session.close();
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 1_000).unref())]);
  }

  async #run(signal?: AbortSignal): Promise<SendReport> {
    const counts = {
      sent: 0,
      failed: 0,
      unconfirmed: 0,
      undeliverable: 0,
      skipped: 0,
      deferred: 0,
    };
    const { office, clock } = this.context;
    if (office !== null && !this.#closing) {
      await this.#saveUnsaved();
      const nowMs = clock.nowMs();
      if (nowMs >= this.#awayUntilMs) {
        const organizations = await this.#organizationsWithDue();
        const untilMs = nowMs + RUN_MS_MAX;
        const run = { office, organizations, counts, untilMs, signal, taken: 0 };
        const workers = Array.from({ length: SESSIONS_MAX }, () => this.#work(run));
        const ends = await Promise.allSettled(workers);
        await this.#saveUnsaved();
        const failed = ends.find((end) => end.status === 'rejected');
        if (failed) throw failed.reason;
      }
    }
    await this.#reportBacklog();
    return counts;
  }

  async #organizationsWithDue(): Promise<string[]> {
    const nowMs = this.context.clock.nowMs();
    const rows = await this.context.database.query<{ orgId: string }>(
      'SELECT due AS "orgId" FROM organizations_with_due_mail($1, $2, $3) AS due',
      [new Date(nowMs), new Date(nowMs - CLAIM_MS_MAX), ORGANIZATIONS_PER_RUN_MAX],
    );
    return rows.map(({ orgId }) => orgId);
  }

  /** One session at a time, one organization after the other, until none is left. */
  async #work(run: Run): Promise<void> {
    const desk = new SessionDesk(run.office, this.#sessions);
    try {
      for (let orgId = run.organizations.shift(); orgId; orgId = run.organizations.shift()) {
        if (!this.#mayGoOn(run)) return;
        if (await this.#settle(orgId, run)) await this.#sendOrganization(orgId, run, desk);
      }
    } catch (error) {
      if (!(error instanceof MailServerAway)) throw error;
      this.#noteAway(error.reason);
    } finally {
      desk.close();
    }
  }

  #mayGoOn(run: Run): boolean {
    const nowMs = this.context.clock.nowMs();
    if (this.#closing || run.signal?.aborted) return false;
    return nowMs >= this.#awayUntilMs && nowMs < run.untilMs && run.taken < MAILS_PER_RUN_MAX;
  }

  /** True where the organization has something to send. */
  async #settle(orgId: string, run: Run): Promise<boolean> {
    const nowMs = this.context.clock.nowMs();
    const settled = await this.context.database.tenant(orgId, (q) =>
      settleWithin(q, { nowMs, staleBeforeMs: nowMs - CLAIM_MS_MAX }),
    );
    for (const kind of settled.unconfirmed) this.#count(run.counts, kind, 'unconfirmed');
    for (const kind of settled.expired) this.#count(run.counts, kind, 'failed');
    return settled.due;
  }

  async #sendOrganization(orgId: string, run: Run, desk: SessionDesk): Promise<void> {
    for (let sent = 0; sent < MAILS_PER_ORGANIZATION_MAX && this.#mayGoOn(run); sent += 1) {
      // Before the claim: without a session nothing is claimed.
      const session = await desk.session();
      const claimed = await this.#claim(orgId);
      if (claimed === null) return;
      run.taken += 1;
      const outcome = await this.#attempt(claimed, run.office, session);
      this.#count(
        run.counts,
        claimed.kind,
        outcome.state === 'pending' ? 'deferred' : outcome.state,
      );
      if (!(await this.#finish(claimed, outcome))) this.#keepUnsaved(claimed, outcome);
    }
  }

  async #claim(orgId: string): Promise<ClaimedMail | null> {
    const claim = { id: randomUUID(), nowMs: this.context.clock.nowMs() };
    return this.context.database.tenant(orgId, (q) => claimWithin(q, orgId, claim));
  }

  async #attempt(
    claimed: ClaimedMail,
    office: MailOffice,
    session: MailSession,
  ): Promise<MailOutcome> {
    const { clock } = this.context;
    const prepared = await this.#prepare(claimed, office);
    if (prepared.kind === 'not_to_send') return { ...prepared.outcome, atMs: clock.nowMs() };
    const delivery = await session.deliver(
      prepared.mail,
      () => !this.#closing && clock.nowMs() - claimed.claimedAtMs < CLAIM_MS_TO_BEGIN,
    );
    if (delivery.kind === 'accepted') this.#awayMs = 0;
    if (delivery.kind === 'not_sent') this.#noteAway(delivery.reason);
    return outcomeOf(delivery, claimed.attempts, clock.nowMs());
  }

  async #prepare(claimed: ClaimedMail, office: MailOffice): Promise<Prepared> {
    try {
      return await prepareMail(claimed, office.site, this.context.clock.nowMs(), this.context);
    } catch (error) {
      // A template that throws would throw again; a person must look at it.
      this.context.logger.error({ err: error, kind: claimed.kind }, 'a mail could not be written');
      return { kind: 'not_to_send', outcome: { state: 'failed', error: 'not_written' } };
    }
  }

  /** False where the database did not answer. */
  async #finish(claimed: ClaimedMail, outcome: MailOutcome): Promise<boolean> {
    try {
      await this.context.database.tenant(claimed.orgId, (q) => finishWithin(q, claimed, outcome));
      return true;
    } catch (error) {
      this.context.logger.warn({ err: error }, 'the end of a mail could not be stored');
      return false;
    }
  }

  #keepUnsaved(claimed: ClaimedMail, outcome: MailOutcome): void {
    if (this.#unsaved.length < UNSAVED_MAX) this.#unsaved.push({ claimed, outcome });
  }

  async #saveUnsaved(): Promise<void> {
    for (const kept of this.#unsaved.splice(0)) {
      if (!(await this.#finish(kept.claimed, kept.outcome))) {
        this.#keepUnsaved(kept.claimed, kept.outcome);
      }
    }
  }

  #noteAway(reason: string): void {
    const nowMs = this.context.clock.nowMs();
    // Several sessions fail at once: that is one time.
    if (nowMs < this.#awayUntilMs) return;
    this.#awayMs = Math.min(Math.max(this.#awayMs * 2, AWAY_MS_MIN), AWAY_MS_MAX);
    this.#awayUntilMs = nowMs + this.#awayMs;
    this.#observer.serverAway();
    this.context.logger.warn(
      { reason, nextAttemptInMs: this.#awayMs },
      'the mail server cannot be reached; mail waits',
    );
  }

  #count(counts: Run['counts'], kind: MailKind, end: MailEnd | 'deferred'): void {
    counts[end] += 1;
    if (end === 'deferred') this.#observer.deferred(kind);
    else this.#observer.ended(kind, end);
  }

  async #reportBacklog(): Promise<void> {
    const [row] = await this.context.database.query<{ waiting: string; oldest: Date | null }>(
      'SELECT waiting, oldest FROM mail_backlog()',
    );
    const oldestMs = row?.oldest?.getTime();
    const ageMs = oldestMs === undefined ? 0 : this.context.clock.nowMs() - oldestMs;
    this.#observer.backlog(Number(row?.waiting ?? 0), Math.max(ageMs, 0));
  }
}

/** The session that a worker uses at the moment. */
class SessionDesk {
  #session: MailSession | null = null;
  #used = 0;

  constructor(
    private readonly office: MailOffice,
    private readonly all: Set<MailSession>,
  ) {}

  /** One that works; a fresh one after a failure, and once in a while, as servers ask for. */
  async session(): Promise<MailSession> {
    if (this.#session?.usable !== true || this.#used >= MAILS_PER_SESSION_MAX) {
      this.close();
      this.#session = await this.office.transport.open();
      this.all.add(this.#session);
      this.#used = 0;
    }
    this.#used += 1;
    return this.#session;
  }

  close(): void {
    if (this.#session === null) return;
    this.#session.close();
    this.all.delete(this.#session);
    this.#session = null;
  }
}
