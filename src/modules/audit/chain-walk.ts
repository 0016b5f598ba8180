import type { SubscriptionStatus } from '../../domain/subscription/status.js';
import { replayStep, START, type Standing } from '../../domain/subscription/transition-replay.js';
import { CHAIN_START, hashAuditEntry } from './audit-encoding.js';
import { INSTALLATION_ID, type AuditEntry } from './audit-entry.js';
import type { ChainHead } from './audit-heads.js';

/** In which way a chain is broken. */
export type Fault =
  /** What stands in the entry is not what was hashed. */
  | 'changed'
  /** There is no entry of that number, and there was one. */
  | 'missing'
  /** The entry does not follow the one before it: one of the two was put there, moved or written anew. */
  | 'out_of_order'
  /** The chain does not end, or did not stand, where a head says. */
  | 'head_mismatch'
  /** An entry tells of a step that is not legal from where the subscription stood. */
  | 'illegal_step'
  /** The organization's status, its hold or the global switch is not what the last entry about it says. */
  | 'status_mismatch';

export interface Break {
  readonly fault: Fault;
  /** The number of the first entry that does not hold. */
  readonly seq: number;
}

/** What the database said of a chain, in one snapshot. */
export interface ChainState {
  readonly head: ChainHead | null;
  /** The largest number among the entries; null where there are none. */
  readonly lastSeq: number | null;
  /** Null where the organization is gone, and for the installation's own chain. */
  readonly stands: Standing | null;
  readonly routingEnabled: boolean;
}

/** Walks a chain entry by entry and keeps only where it is. */
export class ChainWalk {
  #seq = 0;
  #hash = CHAIN_START;
  #stands: Standing = START;
  #standsSince = 0;
  #routingEnabled = true;
  #switchedAt = 0;

  constructor(
    private readonly orgId: string,
    private readonly earlier: ChainHead | null,
  ) {}

  get seq(): number {
    return this.#seq;
  }

  get hash(): string {
    return this.#hash;
  }

  /** Before the first entry. */
  begin(): Break | null {
    return this.#meetsEarlier();
  }

  /** Takes the entries in the order of their numbers; null while all is well. */
  next(entry: AuditEntry): Break | null {
    const expected = this.#seq + 1;
    if (entry.seq > expected) return { fault: 'missing', seq: expected };
    if (entry.seq < expected) return { fault: 'out_of_order', seq: entry.seq };
    const isIntact = hashAuditEntry({ ...entry, orgId: this.orgId }) === entry.hash;
    const follows = entry.prevHash === this.#hash;
    if (!follows && isIntact) return { fault: 'out_of_order', seq: expected };
    if (!isIntact) return { fault: 'changed', seq: expected };
    this.#seq = entry.seq;
    this.#hash = entry.hash;
    return this.#meetsEarlier() ?? this.#replay(entry);
  }

  /** After the last entry. */
  end({ head, stands, routingEnabled }: ChainState): Break | null {
    const { seq, hash } = head ?? { seq: 0, hash: CHAIN_START };
    if (seq > this.#seq) return { fault: 'missing', seq: this.#seq + 1 };
    if (seq < this.#seq) return { fault: 'head_mismatch', seq: seq + 1 };
    if (hash !== this.#hash) return { fault: 'head_mismatch', seq };
    if (this.earlier !== null && this.earlier.seq > this.#seq) {
      return { fault: 'missing', seq: this.#seq + 1 };
    }
    const isSame =
      stands === null ||
      (stands.status === this.#stands.status && stands.hold === this.#stands.hold);
    if (!isSame) return { fault: 'status_mismatch', seq: this.#standsSince };
    if (this.orgId === INSTALLATION_ID && routingEnabled !== this.#routingEnabled) {
      return { fault: 'status_mismatch', seq: this.#switchedAt };
    }
    return null;
  }

  /** Where the subscription stands by the entries so far. */
  get standing(): Standing {
    return this.#stands;
  }

  #meetsEarlier(): Break | null {
    if (this.earlier?.seq !== this.#seq || this.earlier.hash === this.#hash) return null;
    return { fault: 'head_mismatch', seq: this.#seq };
  }

  #replay(entry: AuditEntry): Break | null {
    const illegal: Break = { fault: 'illegal_step', seq: entry.seq };
    if (entry.action === 'routing.switch') {
      const [before, after] = this.#routingEnabled ? ['on', 'off'] : ['off', 'on'];
      if (this.orgId !== INSTALLATION_ID) return illegal;
      if (entry.oldValue !== before || entry.newValue !== after) return illegal;
      this.#routingEnabled = !this.#routingEnabled;
      this.#switchedAt = entry.seq;
    }
    if (!entry.action.startsWith(SUBSCRIPTION)) return null;
    const { hold } = JSON.parse(entry.details) as { hold?: unknown };
    const after = replayStep(this.#stands, {
      event: entry.action.slice(SUBSCRIPTION.length),
      actorKind: entry.actorKind,
      from: entry.oldValue,
      to: entry.newValue,
      hold,
    });
    if (after === null) return illegal;
    this.#stands = after;
    this.#standsSince = entry.seq;
    return null;
  }
}

const SUBSCRIPTION = 'subscription.';

/** As the columns have it. */
export function standingOf(status: string | null, hold: boolean | null): Standing | null {
  if (status === null || hold === null) return null;
  return { status: status as SubscriptionStatus, hold };
}
