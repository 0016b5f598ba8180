import { randomUUID } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../platform/clock.js';
import { leaseSize, lowWaterMark } from './lease-size.js';
import type { LeaseGrant, LeaseStore } from './lease-store.js';
import { ALLOWED, ORGANIZATIONS_MAX, takeFrom } from './local-request-limiter.js';
import { OrganizationLease } from './organization-lease.js';
import { RequestLimiter, type Permit } from './request-limiter.js';
import { WINDOW_MS } from './sliding-window.js';

/** A call waits at most this long for a lease; then the local share decides. */
const LEASE_WAIT_MS_MAX = 50;

export interface LeasedRequestLimiterOptions {
  readonly organizationsMax: number;
  readonly leaseWaitMsMax: number;
}

/** Calls of one organization that may wait for a lease at once; the local share decides beyond. */
const WAITERS_MAX = 5_000;

const HEARTBEAT_INTERVAL_MS = 1_000;

/** Organizations whose unused permits one heartbeat gives back. */
const RETURNING_ORGANIZATIONS_MAX = 500;

/**
 * One limit over several replicas, without a round trip per call.
 *
 * Every permit is counted in Redis before it is used; a replica holds at most `leaseSize(limit)` of them in
 * advance, for at most 2 s. So within any 60 s at most `limit + replicas * leaseSize(limit)` calls pass
 * (none in excess below 120 per minute), as long as Redis answers. Time is that of Redis; seen from the calls,
 * a minute is shorter by the at most 50 ms that an answer is under way.
 *
 * While it does not, each replica lets through its share, `limit / replicas last heard of` and at least 1,
 * counting what it has let through in that window already; this is told to Redis when it is back. In the minute
 * around such a change the sum may come to less than twice the limit (plus one call per replica).
 */
export class LeasedRequestLimiter extends RequestLimiter {
  readonly #clock: Clock;
  readonly #store: LeaseStore;
  readonly #leaseWaitMsMax: number;
  readonly #replicaId = randomUUID();
  readonly #leases: LRUCache<string, OrganizationLease>;
  readonly #holding = new Set<OrganizationLease>();
  #leasing = false;
  #replicas = 1;
  #epoch: string | null = null;
  #beating = false;
  #wasReachable = false;
  #lastProbeMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;

  constructor(clock: Clock, store: LeaseStore, options: Partial<LeasedRequestLimiterOptions> = {}) {
    super();
    this.#clock = clock;
    this.#store = store;
    this.#leaseWaitMsMax = options.leaseWaitMsMax ?? LEASE_WAIT_MS_MAX;
    this.#leases = new LRUCache({
      max: options.organizationsMax ?? ORGANIZATIONS_MAX,
      dispose: (lease) => void this.#holding.delete(lease),
    });
  }

  /** True while Redis is asked; false while the local share decides. */
  get leasing(): boolean {
    return this.#leasing;
  }

  /** Begins to lease; until the first heartbeat is answered the local share decides. */
  start(): void {
    if (this.#timer !== null) return;
    this.#timer = setInterval(() => void this.heartbeat(), HEARTBEAT_INTERVAL_MS);
    this.#timer.unref();
    void this.heartbeat();
  }

  /** Gives back what is held and leaves; never rejects. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    if (!this.#leasing || !this.#store.reachable()) return;
    for (const lease of this.#holding) lease.giveBack();
    await Promise.all(this.#returnUnused());
    this.#leasing = false;
    await this.#store.leave(this.#replicaId).catch(() => undefined);
  }

  override take(orgId: string, limitPerMinute: number): Permit | Promise<Permit> {
    const nowMs = this.#clock.nowMs();
    if (!(limitPerMinute > 0)) {
      return { allowed: false, retryAfterMs: WINDOW_MS, limitPerMinute };
    }
    const lease = this.#leaseOf(orgId, limitPerMinute);
    this.#noticeConnection();
    if (lease.consume(nowMs)) {
      if (lease.available <= lowWaterMark(limitPerMinute)) this.#topUp(lease, nowMs);
      return ALLOWED;
    }
    if (!this.#leasing || lease.waiters.length >= WAITERS_MAX) {
      return this.#takeLocalShare(lease, limitPerMinute, nowMs);
    }
    const refusal = lease.refusal(nowMs);
    if (refusal !== null) return refusal;
    return new Promise((settle) => {
      lease.waiters.push({ limitPerMinute, settle });
      void this.#request(lease);
    });
  }

  /** Says that this replica is there, learns of the others and of Redis's health, and gives back what was not used. */
  async heartbeat(): Promise<void> {
    if (this.#beating) return;
    this.#beating = true;
    try {
      const beat = await answeredWithin(
        this.#leaseWaitMsMax,
        this.#store.heartbeat(this.#replicaId),
      );
      this.#replicas = beat.replicas;
      if (this.#epoch !== null && this.#epoch !== beat.epoch) this.#tellAgain();
      this.#epoch = beat.epoch;
      this.#leasing = true;
      this.#wasReachable = true;
      void this.#returnUnused();
    } catch {
      this.#leasing = false;
    } finally {
      this.#beating = false;
    }
  }

  /** A lost connection ends leasing at once; a new one is tried with the first call, not with the next heartbeat. */
  #noticeConnection(): void {
    const isReachable = this.#store.reachable();
    if (isReachable === this.#wasReachable) return;
    this.#wasReachable = isReachable;
    if (isReachable) void this.heartbeat();
    else this.#leasing = false;
  }

  /** A pause of this process looks like a slow store: ask again at once, but not more often than a heartbeat would. */
  #probe(): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#lastProbeMs < HEARTBEAT_INTERVAL_MS || !this.#store.reachable()) return;
    this.#lastProbeMs = nowMs;
    void this.heartbeat();
  }

  #leaseOf(orgId: string, limitPerMinute: number): OrganizationLease {
    let lease = this.#leases.get(orgId);
    if (lease === undefined) {
      lease = new OrganizationLease(orgId, limitPerMinute);
      this.#leases.set(orgId, lease);
    } else if (lease.limitPerMinute !== limitPerMinute) {
      lease.changeLimit(limitPerMinute);
    }
    return lease;
  }

  #takeLocalShare(lease: OrganizationLease, limitPerMinute: number, nowMs: number): Permit {
    const share = Math.max(1, Math.floor(limitPerMinute / this.#replicas));
    const permit = takeFrom(lease.window, share, limitPerMinute, nowMs);
    if (permit.allowed) lease.recordUnreported(nowMs);
    return permit;
  }

  #topUp(lease: OrganizationLease, nowMs: number): void {
    if (!this.#leasing || leaseSize(lease.limitPerMinute) === 0) return;
    if (lease.refusal(nowMs) === null) void this.#request(lease);
  }

  /** One request per organization at a time; those who come meanwhile are served by it or by the next. */
  async #request(lease: OrganizationLease): Promise<void> {
    if (lease.requesting) return;
    lease.requesting = true;
    const sentAtMs = this.#clock.nowMs();
    const { limitPerMinute } = lease;
    const demand = lease.waiters.length;
    const pending = this.#store.lease({
      orgId: lease.orgId,
      limitPerMinute,
      demand,
      spare: Math.max(0, leaseSize(limitPerMinute) - lease.available),
      replicas: this.#replicas,
      unreported: lease.takeUnreported(sentAtMs),
      returned: lease.takeReturns(),
    });
    this.#holding.add(lease);
    try {
      const grant = await answeredWithin(this.#leaseWaitMsMax, pending);
      this.#apply(lease, grant, { demand, limitPerMinute, sentAtMs });
    } catch {
      // Too late is as good as lost for those who wait, but what it granted must not stay counted.
      pending.then((late) => lease.returnGrant(late)).catch(() => undefined);
      this.#leasing = false;
      this.#settleLocally(lease);
      this.#probe();
    } finally {
      lease.requesting = false;
    }
    if (lease.waiters.length > 0) void this.#request(lease);
  }

  #apply(
    lease: OrganizationLease,
    grant: LeaseGrant,
    asked: { demand: number; limitPerMinute: number; sentAtMs: number },
  ): void {
    const nowMs = this.#clock.nowMs();
    const current = lease.limitPerMinute === asked.limitPerMinute;
    const isFull = grant.demandGranted < asked.demand;
    for (const waiter of lease.waiters.splice(0, grant.demandGranted)) {
      lease.window.record(nowMs);
      waiter.settle(ALLOWED);
    }
    lease.hold(grant.bucketMs, grant.spareGranted, asked.sentAtMs);
    if (!current) lease.giveBack();
    if (isFull) {
      const refusal = { allowed: false, retryAfterMs: grant.retryAfterMs } as const;
      const refused = lease.waiters.splice(0, asked.demand - grant.demandGranted);
      for (const { limitPerMinute, settle } of refused) settle({ ...refusal, limitPerMinute });
      if (current) lease.refuse(grant.retryAfterMs, nowMs);
    }
    this.#settleFromLease(lease, nowMs);
  }

  /** Serves those who came while the request was under way, as far as the answer to it goes. */
  #settleFromLease(lease: OrganizationLease, nowMs: number): void {
    while (lease.waiters.length > 0) {
      const permit = lease.consume(nowMs) ? ALLOWED : lease.refusal(nowMs);
      if (permit === null) return;
      lease.waiters.shift()?.settle(permit);
    }
  }

  #settleLocally(lease: OrganizationLease): void {
    const nowMs = this.#clock.nowMs();
    for (const { limitPerMinute, settle } of lease.waiters.splice(0)) {
      settle(this.#takeLocalShare(lease, limitPerMinute, nowMs));
    }
  }

  #returnUnused(): Promise<void>[] {
    const nowMs = this.#clock.nowMs();
    const requests: Promise<void>[] = [];
    for (const lease of this.#holding) {
      if (requests.length >= RETURNING_ORGANIZATIONS_MAX) break;
      lease.expireChunks(nowMs);
      if (lease.hasReturns && !lease.requesting) requests.push(this.#sendReturns(lease));
      if (!lease.holds) this.#holding.delete(lease);
    }
    return requests;
  }

  async #sendReturns(lease: OrganizationLease): Promise<void> {
    const { orgId, limitPerMinute } = lease;
    const returned = lease.takeReturns();
    const nothing = { demand: 0, spare: 0, unreported: [], replicas: this.#replicas };
    // Lost returns come free with the window: at most a lease less, for a minute.
    await this.#store.lease({ orgId, limitPerMinute, returned, ...nothing }).catch(() => undefined);
  }

  #tellAgain(): void {
    const nowMs = this.#clock.nowMs();
    for (const lease of this.#leases.values()) lease.forgetStore(nowMs);
  }
}

async function answeredWithin<Answer>(timeMs: number, answer: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the store is slow')), timeMs);
  });
  try {
    return await Promise.race([answer, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}
