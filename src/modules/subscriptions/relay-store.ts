import { SUBSCRIPTION_STATUSES } from '../../domain/subscription/status.js';
import type { RedisConnection } from '../../platform/redis/redis-connection.js';
import type { StandingFacts } from '../api-keys/standing.js';
import { FOLLOW_SCRIPT, FOLLOWED_MAX, RELAY_KEYS, RELAY_SCRIPT } from './relay-scripts.js';

/** What a replica that sees the database tells the others. */
export interface Told {
  readonly line: string;
  /** `changes` are all that happened after this version, up to `version`. */
  readonly from: number;
  readonly version: number;
  readonly routingEnabled: boolean;
  readonly changes: readonly StandingFacts[];
  /** The counter of this line went back. */
  readonly anew: boolean;
  /** Milliseconds since the database was asked; null where it was not seen to the end. */
  readonly ageMs: number | null;
}

/** What the others told. */
export interface Heard {
  readonly line: string;
  readonly version: number;
  /** Every change after this version is known to Redis. */
  readonly floor: number;
  readonly routingEnabled: boolean;
  /** Milliseconds since somebody asked the database; null where nobody has, lately. */
  readonly ageMs: number | null;
  readonly changes: readonly StandingFacts[];
  /** False where there is more than one answer can hold. */
  readonly complete: boolean;
}

/** How long a look at the database counts for replicas that do not see it themselves. */
export const ALIVE_MS = 2_000;

/** What replicas tell each other of the database, in Redis: ids of organizations, versions, statuses and holds. */
export class RelayStore {
  constructor(private readonly redis: RedisConnection) {}

  /** The version that stands in Redis afterwards. */
  async tell(told: Told): Promise<number> {
    const aliveMs = told.ageMs === null ? 0 : Math.max(0, Math.floor(ALIVE_MS - told.ageMs));
    const reply = await this.redis.evalScript(RELAY_SCRIPT, RELAY_KEYS, [
      told.line,
      told.from,
      told.version,
      told.routingEnabled ? 1 : 0,
      told.anew ? 1 : 0,
      aliveMs,
      ...told.changes.flatMap(({ orgId, version, status, hold }) => [
        orgId,
        version,
        status,
        hold ? 1 : 0,
      ]),
    ]);
    const version = Array.isArray(reply) ? Number(reply[1]) : Number.NaN;
    if (!Number.isSafeInteger(version)) throw new TypeError('unexpected reply to a relay');
    return version;
  }

  /** Null where Redis knows nothing. */
  async hear(afterVersion: number): Promise<Heard | null> {
    const reply = await this.redis.evalScript(FOLLOW_SCRIPT, RELAY_KEYS, [afterVersion]);
    if (!Array.isArray(reply) || reply.some((item) => typeof item !== 'string')) {
      throw new TypeError('unexpected reply to a follower');
    }
    if (reply.length === 0) return null;
    const [line = '', version, floor, routing, alive, ...rest] = reply as string[];
    const changes = changesOf(rest);
    const aliveMs = Number(alive);
    return {
      line,
      version: Number(version),
      floor: Number(floor),
      routingEnabled: routing === '1',
      ageMs: aliveMs > 0 ? Math.max(0, ALIVE_MS - aliveMs) : null,
      changes,
      complete: changes.length < FOLLOWED_MAX,
    };
  }
}

function changesOf(pairs: readonly string[]): StandingFacts[] {
  const changes: StandingFacts[] = [];
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const [version, named, hold] = pairs[i + 1]!.split(' ');
    const status = SUBSCRIPTION_STATUSES.find((known) => known === named);
    if (status === undefined) throw new TypeError('unexpected status in a relay');
    changes.push({ orgId: pairs[i]!, version: Number(version), status, hold: hold === '1' });
  }
  return changes;
}
