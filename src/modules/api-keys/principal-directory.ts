import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { BoundedConcurrency } from '../../platform/bounded-concurrency.js';
import type { Clock } from '../../platform/clock.js';
import { SecretBoxError, type SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import { withinTime } from '../../platform/postgres/time-limit.js';
import type { Logger } from '../../platform/telemetry/logger.js';
import { isUsableToken } from './api-key-token.js';
import type { Authentication } from './principal.js';
import {
  REVOKED,
  UNAVAILABLE,
  UNKNOWN,
  knownKeyOf,
  type KnownKey,
  type PrincipalRow,
} from './principal-row.js';
import type { KeyOnDisk } from './principal-snapshot.js';
import { Standings, type StandingFacts } from './standing.js';
import { TenancyWatch, type TenancyChange, type TenancyLook } from './tenancy-watch.js';

export interface PrincipalDirectoryOptions {
  readonly production: boolean;
  /** After each look at the database, with what it said taken in. */
  readonly onLook?: (look: TenancyLook) => void;
}

export const KNOWN_MAX = 50_000;
const UNKNOWN_MAX = 10_000;
const UNKNOWN_TTL_MS = 5_000;
/** Keys that wait for the database at once; beyond, the answer is `unavailable`. */
const LOADING_MAX = 1_000;
/** A flood of invented keys takes no more connections than this from everybody else. */
const LOADS_AT_ONCE = 4;
/** Keys in memory that are read again after a change; with connections that no flood of new ones takes. */
const REFRESHES_AT_ONCE = 2;
const LOAD_LIMIT_MS = 2_000;
const RELOADS_MAX = 3;
const WARNING_INTERVAL_MS = 5_000;
/** Older than every version that the database gives. */
const STALE = -1;

/**
 * Who calls, by the key that was presented. Answers from memory at once; what is in memory keeps serving, and
 * keeps refusing, while the database is away. Keys are held as hashes only.
 *
 * A changed status or hold is taken in at once, for all keys of the organization; whatever else changed follows, key
 * by key.
 */
export class PrincipalDirectory {
  readonly #known: LRUCache<string, KnownKey>;
  /** Hashes that the database does not know, with the time until which that is believed. */
  readonly #unknown = new LRUCache<string, number>({ max: UNKNOWN_MAX });
  readonly #digestsByOrg = new Map<string, Set<string>>();
  readonly #standings = new Standings();
  /** The latest change of an organization, for loads that were on their way when it was applied. */
  readonly #latestChange = new LRUCache<string, StandingFacts>({ max: UNKNOWN_MAX });
  readonly #loading = new Map<string, Promise<Authentication>>();
  readonly #loads = new BoundedConcurrency(LOADS_AT_ONCE);
  /** Keys in memory of which something changed: they are read again, until that succeeds. */
  readonly #stale = new Set<string>();
  #refreshing = false;
  readonly #watch: TenancyWatch;
  #changesApplied = 0;
  #revision = 0;
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
    this.#watch = new TenancyWatch(database, logger, {
      organizations: () => this.#standings.organizations(),
      changed: (changes) => this.#changed(changes),
      restarted: (standings) => this.#restarted(standings),
      looked: (look) => {
        void this.#refreshStale();
        this.options.onLook?.(look);
      },
    });
  }

  /** Follows changes from now on, and until `stop`; resolves after the first look, also where the database is away. */
  async start(): Promise<void> {
    await this.#watch.start();
  }

  stop(): void {
    this.#watch.stop();
  }

  /** Changes whenever something that a snapshot holds does. */
  get revision(): number {
    return this.#revision;
  }

  /** False while keys in memory wait to be read again. */
  get isSettled(): boolean {
    return this.#stale.size === 0 && !this.#refreshing;
  }

  /** How organizations stand, as another replica saw it; keys are read again once the database can be asked. */
  take(standings: readonly StandingFacts[]): void {
    if (standings.length === 0) return;
    this.#revision += 1;
    for (const facts of standings) this.#takeStanding(facts);
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

  /** What a start without the database would need, the latest used first. */
  *onDisk(): Generator<KeyOnDisk> {
    // Their order changes with every call, also while this is being read.
    for (const digest of [...this.#known.keys()]) {
      const key = this.#known.peek(digest);
      if (key === undefined || key.row === null) continue;
      const { answer, row } = key;
      yield { digest, row, standing: answer.kind === 'known' ? answer.principal.standing : null };
    }
  }

  /** Takes in what was known at the last run: all of it is read again as soon as the database answers. */
  restore({ digest, row }: KeyOnDisk): void {
    try {
      this.#remember(digest, { ...this.#knownKeyOf(row), version: STALE });
      this.#stale.add(digest);
    } catch (error) {
      if (!(error instanceof SecretBoxError)) throw error;
      this.#warn(error, 'the hash key of an organization cannot be opened');
    }
  }

  /** Reads keys of the last run before anybody asks for them; rejects where the database cannot be asked. */
  async warm(digests: Iterable<string>): Promise<void> {
    for (const digest of digests) {
      if (this.#known.peek(digest) === undefined && !this.#loading.has(digest)) {
        await withinTime(this.#loadFresh(digest), LOAD_LIMIT_MS);
      }
    }
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
      const latest = this.#latestChange.get(key.orgId);
      const isLate = latest !== undefined && key.version < latest.version;
      if (isLate && attempt < RELOADS_MAX) continue;
      this.#remember(digest, key);
      if (isLate) {
        this.#standings.take(latest);
        this.#stale.add(digest);
      }
      return key.expiresAtMs <= this.clock.nowMs() ? REVOKED : key.answer;
    }
  }

  async #read(digest: string): Promise<KnownKey | null> {
    const [row] = await this.database.query<PrincipalRow>('SELECT * FROM find_principal($1)', [
      Buffer.from(digest, 'base64url'),
    ]);
    return row ? this.#knownKeyOf(row) : null;
  }

  #knownKeyOf(row: PrincipalRow): KnownKey {
    const { production } = this.options;
    return knownKeyOf(row, {
      secretBox: this.secretBox,
      production,
      standings: this.#standings,
    });
  }

  #changed(changes: readonly TenancyChange[]): void {
    this.#forgetUnknown();
    for (const change of changes) {
      this.#takeStanding(change);
      for (const digest of this.#digestsByOrg.get(change.orgId) ?? []) {
        if ((this.#known.peek(digest)?.version ?? STALE) < change.version) this.#stale.add(digest);
      }
    }
  }

  #takeStanding(facts: StandingFacts): void {
    this.#standings.take(facts);
    const latest = this.#latestChange.get(facts.orgId);
    if (latest === undefined || latest.version <= facts.version) {
      this.#latestChange.set(facts.orgId, facts);
    }
  }

  #restarted(standings: readonly StandingFacts[]): void {
    this.#forgetUnknown();
    this.#latestChange.clear();
    this.#standings.restart(standings);
    for (const [digest, key] of this.#known.entries()) {
      // Whatever the database says now is newer.
      key.version = STALE;
      this.#stale.add(digest);
    }
  }

  /** A key that was unknown a moment ago may have been made since. */
  #forgetUnknown(): void {
    this.#unknown.clear();
    this.#changesApplied += 1;
    this.#revision += 1;
  }

  /** Where one cannot be read, what is in memory stays, and the next look tries again. */
  async #refreshStale(): Promise<void> {
    if (this.#refreshing) return;
    this.#refreshing = true;
    try {
      while (this.#stale.size > 0) {
        await Promise.all(
          firstOf(this.#stale, REFRESHES_AT_ONCE).map((digest) => this.#refreshOne(digest)),
        );
      }
    } catch (error) {
      this.#warn(error, 'a key could not be read again');
    } finally {
      this.#refreshing = false;
    }
  }

  async #refreshOne(digest: string): Promise<void> {
    // Before it is read: a change that comes meanwhile marks it again.
    this.#stale.delete(digest);
    const before = this.#known.peek(digest);
    // A refusal is final.
    if (!before || before.answer.kind === 'revoked') return;
    try {
      const key = await withinTime(this.#read(digest), LOAD_LIMIT_MS);
      this.#remember(digest, key ?? { ...before, answer: REVOKED, row: null });
    } catch (error) {
      if (!(error instanceof SecretBoxError)) {
        this.#stale.add(digest);
        throw error;
      }
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
    this.#revision += 1;
    const digests = this.#digestsByOrg.get(key.orgId) ?? new Set();
    digests.add(digest);
    this.#digestsByOrg.set(key.orgId, digests);
  }

  #unindex(orgId: string, digest: string): void {
    this.#revision += 1;
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

function firstOf(all: ReadonlySet<string>, count: number): string[] {
  const some: string[] = [];
  for (const one of all) {
    some.push(one);
    if (some.length === count) break;
  }
  return some;
}
