import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { BoundedConcurrency } from '../../platform/bounded-concurrency.js';
import type { Clock } from '../../platform/clock.js';
import { hashPassword, verifyPassword } from '../../platform/crypto/password.js';
import { SecretBoxError, type SecretBox } from '../../platform/crypto/secret-box.js';
import { newTotpSecret, totpStep } from '../../platform/crypto/totp.js';
import { GrowingDelays, type Attempt } from '../../platform/http/growing-delays.js';
import { HttpError } from '../../platform/http/http-error.js';
import type { Database } from '../../platform/postgres/database.js';
import { safeError, type Logger } from '../../platform/telemetry/logger.js';
import { auditInstallationWithin } from '../audit/audit-trail.js';
import type { CountedEntries } from '../audit/counted-entries.js';
import { operatorTotpAad } from '../bootstrap/operator-totp.js';
import { OPERATORS_MAX, OPERATORS_READ_MAX } from './operator.service.js';
import { operatorActor, UNKNOWN_OPERATOR } from './operator.js';
import { openSessionWithin, type OperatorSession } from './operator-sessions.js';
import { SharedRead } from './shared-read.js';

export interface Credentials {
  /** May be left out while one operator is enabled. */
  readonly name?: string;
  readonly secret: string;
  readonly totp: string;
}

export interface SignedIn {
  readonly name: string;
  readonly session: OperatorSession;
}

interface KnownOperator {
  readonly id: string;
  readonly name: string;
  readonly disabled: boolean;
  readonly secretHash: string;
  readonly totpSealed: Buffer;
}

/** One attempt, whose code was looked at already. */
interface Tried {
  /** Null: nobody who could enter. */
  readonly operator: KnownOperator | null;
  /** Whose name was given; somebody disabled has one too. */
  readonly named: KnownOperator | null;
  /** The step of the code where it is right. */
  readonly step: number | null;
  readonly secret: string;
}

/** One of the two places for password hashes is kept for those who hold a right code. */
const FAST_MAX = 1;
const LIMITS = { workingMax: 1, attemptsMax: 60, suspectsMax: 30 };
/** With one code a place among those, so often: who has no more than somebody's codes goes the common way. */
const FAST_PER_STEP_MAX = 5;
/** A refusal is given at whole multiples of this: how long it took within them tells nothing. */
const REFUSAL_STEP_MS = 1_000;

/**
 * Lets operators in. Secret and code are both checked whatever the other says, and every refusal looks and takes the
 * same. Strangers cannot keep an operator out, in whatever number they come: whoever holds a right code does not wait
 * for the others (docs/admin-api.md), and is refused no earlier than they are.
 */
export class OperatorSignIn {
  readonly #delays: GrowingDelays;
  readonly #fast = new BoundedConcurrency(FAST_MAX);
  readonly #operators: SharedRead<readonly KnownOperator[]>;
  readonly #fastByOperator = new Map<string, { step: number; taken: number }>();
  #placeholder: Promise<KnownOperator> | null = null;

  constructor(
    private readonly database: Database,
    private readonly secretBox: SecretBox,
    private readonly clock: Clock,
    private readonly failures: CountedEntries,
    private readonly logger: Logger,
  ) {
    this.#delays = new GrowingDelays(clock, LIMITS);
    this.#operators = new SharedRead(() => this.#readAll());
  }

  /** Null where anything is wrong. Throws a 429 where it was not even looked at. `address`: the client's. */
  async signIn(credentials: Credentials, address: string): Promise<SignedIn | null> {
    const startedMs = performance.now();
    const tried = await this.#look(credentials);
    try {
      const signedIn = await this.#decide(tried, address);
      if (signedIn !== null) return signedIn;
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.#noteFailure(tried);
      await toWholeSteps(startedMs);
      throw error;
    }
    this.#noteFailure(tried);
    await toWholeSteps(startedMs);
    return null;
  }

  /** By the name of whom it was meant for: there are as many as operators, and one for all others. */
  #noteFailure({ named }: Tried): void {
    this.failures.note({
      actor: operatorActor(named?.name ?? UNKNOWN_OPERATOR),
      action: 'operator.sign_in_failed',
      ...(named === null ? {} : { subject: named.id }),
    });
  }

  async #look({ name, secret, totp }: Credentials): Promise<Tried> {
    const placeholder = await this.#placeholderOperator();
    const all = await this.#operators.get();
    const meant = all.filter((one) => (name === undefined ? !one.disabled : one.name === name));
    const named = meant.length === 1 ? meant[0]! : null;
    const operator = named?.disabled === false ? named : null;
    const step = await totpStep(this.#totpSecret(operator ?? placeholder), totp, 0);
    return { operator, named, step: operator === null ? null : step, secret };
  }

  /** Everybody takes the slow way; with a right code also the fast one, which can only shorten it for who is let in. */
  async #decide(tried: Tried, address: string): Promise<SignedIn | null> {
    if (!this.#mayGoFast(tried)) {
      return this.#delays.run(address, (attempt) => this.#checkSlowly(tried, attempt));
    }
    let fastEnded = false;
    const fast = this.#fast
      .run(() => this.#check(tried))
      .finally(() => {
        fastEnded = true;
      });
    const slow = this.#delays.run(address, async (attempt) => {
      // The check is done once where it can be; where it is over already, the time that it takes is taken.
      const wasOver = fastEnded;
      const signedIn = await fast;
      if (signedIn !== null) return signedIn;
      if (wasOver) return this.#checkSlowly(tried, attempt);
      attempt.count();
      return null;
    });
    slow.catch(() => undefined);
    return (await fast) ?? slow;
  }

  async #checkSlowly(tried: Tried, attempt: Attempt): Promise<SignedIn | null> {
    const signedIn = await this.#check(tried);
    if (signedIn === null) attempt.count();
    return signedIn;
  }

  #mayGoFast({ operator, step }: Tried): boolean {
    if (operator === null || step === null) return false;
    const known = this.#fastByOperator.get(operator.id);
    const taken = known?.step === step ? known.taken : 0;
    if (taken >= FAST_PER_STEP_MAX) return false;
    if (this.#fastByOperator.size > OPERATORS_MAX) this.#fastByOperator.clear();
    this.#fastByOperator.set(operator.id, { step, taken: taken + 1 });
    return true;
  }

  /**
   * The same work for everybody: a hash is compared, and the code's step is stored where all was right, on condition
   * that it lies after the last one. Of two that come with one code at once, one changes the row.
   */
  async #check({ operator, step, secret }: Tried): Promise<SignedIn | null> {
    const { id, secretHash } = operator ?? (await this.#placeholderOperator());
    const isRight = await verifyPassword(secret, secretHash);
    const mayEnter = isRight && operator !== null && step !== null;
    const nowMs = this.clock.nowMs();
    return this.database.transaction(async (q) => {
      const [entered] = await q.query<{ name: string }>(
        `UPDATE operators SET totp_last_step = $2
          WHERE id = $1 AND $3::boolean AND totp_last_step < $2 AND disabled_at IS NULL AND secret_hash = $4
          RETURNING name`,
        [id, step ?? 0, mayEnter, secretHash],
      );
      if (!entered) return null;
      const session = await openSessionWithin(q, id, nowMs);
      await auditInstallationWithin(q, {
        actor: operatorActor(entered.name),
        action: 'operator.signed_in',
        atMs: nowMs,
        subject: id,
      });
      return { name: entered.name, session };
    });
  }

  async #readAll(): Promise<readonly KnownOperator[]> {
    return this.database.query<KnownOperator>(
      `SELECT id, name, secret_hash AS "secretHash", totp_secret_sealed AS "totpSealed",
              disabled_at IS NOT NULL AS disabled
         FROM operators ORDER BY disabled_at IS NOT NULL, name LIMIT ${OPERATORS_READ_MAX}`,
    );
  }

  /** Nobody: with a hash and a code of its own, so that a wrong name costs what a wrong secret does. */
  #placeholderOperator(): Promise<KnownOperator> {
    this.#placeholder ??= hashPassword(randomUUID()).then((secretHash) => {
      const id = randomUUID();
      const totpSealed = this.secretBox.seal(newTotpSecret(), operatorTotpAad(id));
      return { id, name: '', disabled: true, secretHash, totpSealed };
    });
    return this.#placeholder;
  }

  #totpSecret({ id, totpSealed }: KnownOperator): string {
    try {
      return this.secretBox.open(totpSealed, operatorTotpAad(id)).toString();
    } catch (error) {
      if (!(error instanceof SecretBoxError)) throw error;
      this.logger.error({ err: safeError(error) }, "an operator's TOTP secret cannot be opened");
      return newTotpSecret();
    }
  }
}

async function toWholeSteps(startedMs: number): Promise<void> {
  const takenMs = performance.now() - startedMs;
  await pause(Math.ceil(takenMs / REFUSAL_STEP_MS) * REFUSAL_STEP_MS - takenMs);
}
