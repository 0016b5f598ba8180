import type { Clock } from '../../platform/clock.js';
import { verifyPassword } from '../../platform/crypto/password.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { CountedEntries, CountedEntry } from '../audit/counted-entries.js';
import { auditForUserWithin, membershipsWithin } from './audit-for-user.js';
import { FactorGuesses } from './factor-guesses.js';
import { takeFactorWithin, type GivenFactor } from './second-factor.js';
import { startSessionWithin, type IssuedSession } from './session.service.js';

export interface Credentials extends GivenFactor {
  readonly email: string;
  readonly password: string;
  readonly client: string;
}

export type SignInOutcome =
  | { readonly kind: 'signed_in'; readonly userId: string; readonly session: IssuedSession }
  /** The password is right. */
  | { readonly kind: 'totp_needed' }
  /** The password is right; the code was not looked at. */
  | { readonly kind: 'too_many_codes'; readonly retryAfterSeconds: number }
  /** Which of them is not said. */
  | { readonly kind: 'wrong_credentials' };

interface UserRow {
  readonly id: string;
  readonly passwordHash: string;
  readonly sealed: Buffer | null;
  readonly lastStep: string;
}

const COLUMNS = `id, password_hash AS "passwordHash", totp_last_step AS "lastStep",
  CASE WHEN totp_enabled_at IS NULL THEN NULL ELSE totp_secret_sealed END AS sealed`;

/** Without an address: whose it was meant to be, nobody can know. */
const FAILED: CountedEntry = {
  actor: { kind: 'system', part: 'dashboard' },
  action: 'user.sign_in_failed',
};

/** Takes password and second factor, gives a session. */
export class SignInService {
  readonly #guesses: FactorGuesses;

  constructor(
    private readonly database: Database,
    private readonly secretBox: SecretBox,
    private readonly clock: Clock,
    private readonly failed: CountedEntries,
  ) {
    this.#guesses = new FactorGuesses(clock);
  }

  async signIn(given: Credentials): Promise<SignInOutcome> {
    const [user] = await this.database.query<UserRow>(
      `SELECT ${COLUMNS} FROM users WHERE email = $1`,
      [given.email],
    );
    const isRight = await verifyPassword(given.password, user?.passwordHash ?? null);
    const outcome: SignInOutcome =
      isRight && user
        ? await this.database.transaction((q) => this.#enter(q, user, given))
        : { kind: 'wrong_credentials' };
    if (outcome.kind === 'wrong_credentials' || outcome.kind === 'too_many_codes') {
      this.failed.note(FAILED);
    }
    return outcome;
  }

  async #enter(q: Queryable, verified: UserRow, given: Credentials): Promise<SignInOutcome> {
    const [user] = await q.query<UserRow>(
      `SELECT ${COLUMNS} FROM users WHERE id = $1 AND password_hash = $2 FOR UPDATE`,
      [verified.id, verified.passwordHash],
    );
    // It was changed while it was checked.
    if (!user) return { kind: 'wrong_credentials' };
    if (user.sealed !== null) {
      if (given.totp === undefined && given.recoveryCode === undefined) {
        return { kind: 'totp_needed' };
      }
      const refused = await this.#takeFactor(q, { ...user, sealed: user.sealed }, given);
      if (refused !== null) return refused;
    }
    const atMs = this.clock.nowMs();
    const [first] = await membershipsWithin(q, user.id);
    const session = await startSessionWithin(q, {
      userId: user.id,
      client: given.client,
      currentOrgId: first?.orgId ?? null,
      atMs,
    });
    await auditForUserWithin(q, user.id, {
      action: 'user.signed_in',
      atMs,
      subject: user.id,
      details: { factor: factorOf(user, given) },
    });
    return { kind: 'signed_in', userId: user.id, session };
  }

  /** Null where it is right. Who guesses at one account is behind one another: its row is locked. */
  async #takeFactor(
    q: Queryable,
    user: UserRow & { readonly sealed: Buffer },
    given: GivenFactor,
  ): Promise<SignInOutcome | null> {
    const account = `${user.id} ${user.passwordHash}`;
    const isGuessable = given.recoveryCode === undefined;
    const waitMs = isGuessable ? this.#guesses.waitMs(account) : 0;
    if (waitMs > 0) {
      return { kind: 'too_many_codes', retryAfterSeconds: Math.ceil(waitMs / 1_000) };
    }
    const factor = { userId: user.id, sealed: user.sealed, lastStep: Number(user.lastStep) };
    if (await takeFactorWithin(q, this.secretBox, factor, given)) {
      this.#guesses.right(account);
      return null;
    }
    if (isGuessable) this.#guesses.wrong(account);
    return { kind: 'wrong_credentials' };
  }
}

function factorOf(user: UserRow, given: GivenFactor): string {
  if (user.sealed === null) return 'none';
  return given.recoveryCode === undefined ? 'totp' : 'recovery_code';
}
