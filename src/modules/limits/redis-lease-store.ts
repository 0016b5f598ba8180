import { randomUUID } from 'node:crypto';
import type { RedisConnection } from '../../platform/redis/redis-connection.js';
import { HEARTBEAT_SCRIPT, LEASE_SCRIPT, LEAVE_SCRIPT } from './lease-scripts.js';
import type { Heartbeat, LeaseGrant, LeaseRequest, LeaseStore } from './lease-store.js';

const REPLICAS_KEY = 'shunt:{limits}:replicas';
const EPOCH_KEY = 'shunt:{limits}:epoch';

/** The replicas' windows in Redis: counts under organization ids, forgotten after about a minute. */
export class RedisLeaseStore implements LeaseStore {
  readonly #redis: RedisConnection;
  readonly #serverTimeMs: (() => number) | null;

  /** @param serverTimeMs stands in for the server's own clock, in tests. */
  constructor(redis: RedisConnection, serverTimeMs: (() => number) | null = null) {
    this.#redis = redis;
    this.#serverTimeMs = serverTimeMs;
  }

  reachable(): boolean {
    return this.#redis.status() === 'ready';
  }

  async lease(request: LeaseRequest): Promise<LeaseGrant> {
    const reply = await this.#redis.evalScript(
      LEASE_SCRIPT,
      [`shunt:limit:{${request.orgId}}`],
      [
        this.#now(),
        request.limitPerMinute,
        request.demand,
        request.spare,
        request.replicas,
        request.unreported.length,
        ...request.unreported.flatMap(({ ageMs, permits }) => [ageMs, permits]),
        ...request.returned.flatMap(({ bucketMs, permits }) => [bucketMs, permits]),
      ],
    );
    const [demandGranted, spareGranted, bucketMs, retryAfterMs] = numbersOf(reply, 4);
    return {
      demandGranted: demandGranted ?? 0,
      spareGranted: spareGranted ?? 0,
      bucketMs: bucketMs ?? 0,
      retryAfterMs: retryAfterMs ?? 0,
    };
  }

  async heartbeat(replicaId: string): Promise<Heartbeat> {
    const reply = await this.#redis.evalScript(
      HEARTBEAT_SCRIPT,
      [REPLICAS_KEY, EPOCH_KEY],
      [this.#now(), replicaId, randomUUID()],
    );
    const [replicas, epoch] = Array.isArray(reply) ? (reply as unknown[]) : [];
    if (typeof replicas !== 'number' || typeof epoch !== 'string') {
      throw new TypeError('unexpected reply to the heartbeat');
    }
    return { replicas: Math.max(1, replicas), epoch };
  }

  async leave(replicaId: string): Promise<void> {
    await this.#redis.evalScript(LEAVE_SCRIPT, [REPLICAS_KEY], [replicaId]);
  }

  #now(): number | '' {
    return this.#serverTimeMs === null ? '' : this.#serverTimeMs();
  }
}

function numbersOf(reply: unknown, length: number): number[] {
  if (
    Array.isArray(reply) &&
    reply.length === length &&
    reply.every((item) => typeof item === 'number')
  ) {
    return reply;
  }
  throw new TypeError('unexpected reply to a lease');
}
