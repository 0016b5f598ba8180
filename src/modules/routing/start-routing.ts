import type { Clock } from '../../platform/clock.js';
import type { RedisConnection } from '../../platform/redis/redis-connection.js';
import type { Metrics } from '../../platform/telemetry/metrics.js';
import type { PriceBook } from '../catalog/price-book.js';
import type { Resilience } from '../resilience/start-resilience.js';
import { LocalSessionStore } from '../session-routing/local-session-store.js';
import { RedisSessionStore } from '../session-routing/redis-session-store.js';
import type { SessionStore } from '../session-routing/session-store.js';
import { SharedPrefixes } from '../session-routing/shared-prefixes.js';
import { AttemptWatch } from './attempt-watch.js';
import { Router } from './router.js';
import { SessionDollars } from './session-dollars.js';

export interface RoutingParts {
  readonly clock: Clock;
  /** Null where there is one replica. */
  readonly redis: RedisConnection | null;
  readonly metrics: Metrics;
  readonly prices: PriceBook;
  readonly resilience: Resilience;
}

/** What the gateway decides calls with, and tells of their end. */
export interface GatewayRouting {
  readonly router: Router;
  readonly watch: AttemptWatch;
  readonly sessions: SessionStore;
  /** For the ledger's baseline. */
  readonly prefixes: SharedPrefixes;
}

export function startRouting(parts: RoutingParts): GatewayRouting {
  const { clock, redis, metrics, prices, resilience } = parts;
  const sessions =
    redis === null ? new LocalSessionStore(clock) : new RedisSessionStore(redis, clock, metrics);
  const watch = new AttemptWatch(resilience.breakers, resilience.coolDowns, clock);
  const prefixes = new SharedPrefixes(redis);
  const router = new Router(sessions, watch, new SessionDollars(prices));
  return { router, watch, sessions, prefixes };
}
