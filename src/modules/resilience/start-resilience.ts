import { randomUUID } from 'node:crypto';
import type { Provider } from '../../domain/routing/provider.js';
import type { Clock } from '../../platform/clock.js';
import type { RedisConnection } from '../../platform/redis/redis-connection.js';
import type { Metrics } from '../../platform/telemetry/metrics.js';
import { Breakers } from './breakers.js';
import { CoolDowns } from './cool-downs.js';
import { observeBreakers } from './resilience-metrics.js';
import { ResilienceSharing } from './resilience-sharing.js';
import { SharedProbeRights } from './shared-probe-rights.js';

export interface ResilienceParts {
  readonly clock: Clock;
  /** Null where there is one replica. */
  readonly redis: RedisConnection | null;
  readonly metrics: Metrics;
  readonly isKnownModel: (provider: Provider, model: string) => boolean;
  readonly closers: (() => unknown)[];
}

/** What routing asks before it sends a call somewhere, and tells afterwards. */
export interface Resilience {
  readonly breakers: Breakers;
  readonly coolDowns: CoolDowns;
}

export function startResilience(parts: ResilienceParts): Resilience {
  const { clock, redis, metrics, closers } = parts;
  const replicaId = randomUUID();
  const rights = redis === null ? null : new SharedProbeRights(redis, replicaId);
  const breakers = new Breakers({
    clock,
    ...(rights === null ? {} : { rightOf: (key: string) => rights.rightOf(key) }),
  });
  const coolDowns = new CoolDowns(clock);
  observeBreakers(metrics, breakers, parts.isKnownModel);
  closers.push(() => breakers.stop());
  if (redis !== null) {
    const sharing = new ResilienceSharing({ redis, breakers, coolDowns, clock, replicaId });
    sharing.start();
    closers.push(() => sharing.stop());
  }
  return { breakers, coolDowns };
}
