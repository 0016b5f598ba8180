import { routesIn } from '../../domain/subscription/status.js';
import type { Standing } from '../api-keys/standing.js';
import type { TenancyLook } from '../api-keys/tenancy-watch.js';
import type { RoutingLease } from './routing-lease.js';

/** Up to which change, of which life of the database server, this replica knows everything. */
export interface KnownUpTo {
  readonly line: string;
  readonly version: number;
}

/** What another replica told of the database: as complete as its version says. */
export interface Confirmation extends KnownUpTo {
  readonly routingEnabled: boolean;
  /** When the database was asked (monotonic); null where nobody has reached it just now. */
  readonly askedAt: number | null;
}

/** Whether this replica may route at all; the one question that the hot path asks. */
export class RoutingRight {
  #known: KnownUpTo | null = null;
  /** Off until it is known. */
  #routingEnabled = false;

  constructor(
    private readonly lease: RoutingLease,
    private readonly localKill: { readonly engaged: boolean },
  ) {}

  /** No look-up, no allocation. False never blocks a call: it passes through. */
  mayRoute(standing: Standing): boolean {
    return (
      routesIn(standing.status) &&
      !standing.hold &&
      this.#routingEnabled &&
      !this.localKill.engaged &&
      this.lease.isLive()
    );
  }

  get known(): KnownUpTo | null {
    return this.#known;
  }

  /** The database itself answered, and what it said is taken in. */
  looked(look: TenancyLook): void {
    const known = this.#known;
    const isNewer =
      known?.line !== look.line || look.from === null || look.version >= known.version;
    if (isNewer) {
      this.#known = { line: look.line, version: look.version };
      this.#routingEnabled = look.routingEnabled;
    }
    if (look.complete) this.lease.renew(look.startedAt);
  }

  /** Another replica told it, and the standings that came with it are taken in. */
  told({ line, version, routingEnabled, askedAt }: Confirmation): void {
    const known = this.#known;
    // Without a line of its own a replica cannot tell what it missed.
    if (known === null || known.line !== line || version < known.version) return;
    this.#known = { line, version };
    this.#routingEnabled = routingEnabled;
    if (askedAt !== null) this.lease.renew(askedAt);
  }

  /** What this replica knows cannot be reconciled with what others know. */
  doubt(): void {
    this.lease.end();
  }
}
