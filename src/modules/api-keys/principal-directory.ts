import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.js';
import { SecretBoxError, type SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import { withinTime } from '../../platform/postgres/time-limit.js';
import type { Logger } from '../../platform/telemetry/logger.js';
import { isUsableToken } from './api-key-token.js';
import { BoundedConcurrency } from './bounded-concurrency.js';
import type { Authentication } from './principal.js';
import {
  REVOKED,
  UNAVAILABLE,
  UNKNOWN,
  knownKeyOf,
  type KnownKey,
  type PrincipalRow,
} from './principal-row.js';
import { TenancyWatch, type TenancyChange } from './tenancy-watch.js';

export interface PrincipalDirectoryOptions {
  readonly production: boolean;
}

const KNOWN_MAX = 50_000;
const UNKNOWN_MAX = 10_000;
const UNKNOWN_TTL_MS = 5_000;
/** Keys that wait for the database at once; beyond, the answer is `unavailable`. */
const LOADING_MAX = 1_000;
/** A flood of invented keys takes no more connections than this from everybody else. */
const LOADS_AT_ONCE = 4;
const LOAD_LIMIT_MS = 2_000;
const RELOADS_MAX = 3;
const WARNING_INTERVAL_MS = 5_000;

/**
 * Who calls, by the key that was presented. Answers from memory at once; what is in memory keeps serving, and
 * keeps refusing, while the database is away. Keys are held as hashes only.
 */
export class PrincipalDirectory {
  readonly #known: LRUCache<string, KnownKey>;
  /** Hashes that the database does not know, with the time until which that is believed. */
  readonly #unknown = new LRUCache<string, number>({ max: UNKNOWN_MAX });
  readonly #digestsByOrg = new Map<string, Set<string>>();
  /** The latest change of an organization, for loads that were on their way when it was applied. */
  readonly #latestChange = new LRUCache<string, number>({ max: UNKNOWN_MAX });
  readonly #loading = new Map<string, Promise<Authentication>>();
  readonly #loads = new BoundedConcurrency(LOADS_AT_ONCE);
  readonly #watch: TenancyWatch;
  #changesApplied = 0;
  #warnedAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly database: Database,
    private readonly secretBox: SecretBox,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly options: PrincipalDirectoryOptions,
  ) {
    this.#known = new LRUCache({
      max: KNOWN_MAX,
      noDisposeOnSet: true,
      dispose: (key, digest) => this.#unindex(key.orgId, digest),
    });
    this.#watch = new TenancyWatch(database, logger, (changes) => this.#apply(changes));
  }

  /** Follows changes from now on, and until `stop`; resolves after the first look, also where the database is away. */
  async start(): Promise<void> {
    await this.#watch.start();
  }

  stop(): void {
    this.#watch.stop();
  }

  /** A plain value where the key is in memory; a promise, kept within 2 s, where the database is asked. */
  find(token: string): Authentication | Promise<Authentication> {
    if (!isUsableToken(token)) return UNKNOWN;
    const digest = hash('sha256', token, 'base64url');
    const known = this.#known.get(digest);
    if (known) return known.expiresAtMs <= this.clock.nowMs() ? REVOKED : known.answer;
    const unknownUntilMs = this.#unknown.get(digest);
    if (unknownUntilMs !== undefined && unknownUntilMs > this.clock.nowMs()) return UNKNOWN;
    return this.#loading.get(digest) ?? this.#load(digest);
  }

  #load(digest: string): Promise<Authentication> {
    if (this.#loading.size >= LOADING_MAX) return Promise.resolve(UNAVAILABLE);
    const work = this.#loadFresh(digest).finally(() => this.#loading.delete(digest));
    const answer = withinTime(work, LOAD_LIMIT_MS).catch((error: unknown) => {
      this.#warn(error, 'a key could not be looked up');
      return UNAVAILABLE;
    });
    this.#loading.set(digest, answer);
    return answer;
  }

  async #loadFresh(digest: string): Promise<Authentication> {
    for (let attempt = 1; ; attempt += 1) {
      const changesBefore = this.#changesApplied;
      const key = await this.#loads.run(() => this.#read(digest));
      if (key === null) {
        // Unless something changed meanwhile, such as the making of this very key.
        if (changesBefore === this.#changesApplied) {
          this.#unknown.set(digest, this.clock.nowMs() + UNKNOWN_TTL_MS);
        }
        return UNKNOWN;
      }
      // A change that was applied while this row was on its way did not find it in memory: read again.
      const latest = this.#latestChange.get(key.orgId) ?? 0;
      if (key.version >= latest || attempt === RELOADS_MAX) {
        this.#remember(digest, key);
        return key.expiresAtMs <= this.clock.nowMs() ? REVOKED : key.answer;
      }
    }
  }

  async #read(digest: string): Promise<KnownKey | null> {
    const [row] = await this.database.query<PrincipalRow>('SELECT * FROM find_principal($1)', [
      Buffer.from(digest, 'base64url'),
    ]);
    if (!row) return null;
    return knownKeyOf(row, { secretBox: this.secretBox, production: this.options.production });
  }

  async #apply(changes: readonly TenancyChange[] | 'everything'): Promise<void> {
    // A key that was unknown a moment ago may have been made since.
    this.#unknown.clear();
    this.#changesApplied += 1;
    if (changes === 'everything') {
      await this.#refresh([...this.#known.keys()]);
      return;
    }
    for (const { orgId, version } of changes) this.#latestChange.set(orgId, version);
    const stale = changes.flatMap(({ orgId, version }) =>
      [...(this.#digestsByOrg.get(orgId) ?? [])].filter(
        (digest) => (this.#known.peek(digest)?.version ?? version) < version,
      ),
    );
    await this.#refresh(stale);
  }

  /** Rejects where one could not be read: what is in memory stays, and the change is told again. */
  async #refresh(digests: readonly string[]): Promise<void> {
    for (let next = 0; next < digests.length; next += LOADS_AT_ONCE) {
      const some = digests.slice(next, next + LOADS_AT_ONCE);
      await Promise.all(some.map((digest) => this.#refreshOne(digest)));
    }
  }

  async #refreshOne(digest: string): Promise<void> {
    const before = this.#known.peek(digest);
    // A refusal is final.
    if (!before || before.answer.kind === 'revoked') return;
    try {
      const key = await withinTime(this.#read(digest), LOAD_LIMIT_MS);
      this.#remember(digest, key ?? { ...before, answer: REVOKED });
    } catch (error) {
      if (!(error instanceof SecretBoxError)) throw error;
      // One organization's fault must not keep the changes of the others from being taken in.
      this.#known.delete(digest);
      this.#warn(error, 'the hash key of an organization cannot be opened');
    }
  }

  #remember(digest: string, key: KnownKey): void {
    const present = this.#known.peek(digest);
    if (present && present.version > key.version) return;
    this.#known.set(digest, key);
    this.#unknown.delete(digest);
    const digests = this.#digestsByOrg.get(key.orgId) ?? new Set();
    digests.add(digest);
    this.#digestsByOrg.set(key.orgId, digests);
  }

  #unindex(orgId: string, digest: string): void {
    const digests = this.#digestsByOrg.get(orgId);
    digests?.delete(digest);
    if (digests?.size === 0) this.#digestsByOrg.delete(orgId);
  }

  /** During an outage every unknown key fails: one line tells it. */
  #warn(error: unknown, message: string): void {
    const nowMs = this.clock.nowMs();
    if (nowMs - this.#warnedAtMs < WARNING_INTERVAL_MS) return;
    this.#warnedAtMs = nowMs;
    this.logger.warn({ err: error }, message);
  }
}
