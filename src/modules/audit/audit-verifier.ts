import type { Standing } from '../../domain/subscription/transition-replay.js';
import type { Database } from '../../platform/postgres/database.js';
import { INSTALLATION_ID, type AuditEntry } from './audit-entry.js';
import type { ChainHead } from './audit-heads.js';
import { AUDIT_COLUMNS } from './audit-trail.js';
import { ChainWalk, standingOf, type Break, type ChainState } from './chain-walk.js';

/** What a verification found of one chain. */
export interface ChainVerdict {
  readonly orgId: string;
  /** How many entries hold, from the first on. */
  readonly verified: number;
  /** The hash of the last entry that holds. */
  readonly hash: string;
  /** Where the subscription stands by the entries that hold. */
  readonly standing: Standing;
  /** Null where the whole chain holds. */
  readonly broken: Break | null;
}

const ENTRIES_PER_PAGE = 500;
const CHAINS_PER_PAGE = 500;
/** Below every number that a tampered row could have. */
const BEFORE_ALL = Number.MIN_SAFE_INTEGER;

/**
 * Recomputes the trails: every hash, every link, every step of the subscription, and the state that they end in.
 * Pages have a fixed size and nothing else is kept, so that a chain's length costs time and no memory. What is
 * added while it reads is left to the next time.
 */
export class AuditVerifier {
  constructor(private readonly database: Database) {}

  /** `earlier`: a head that somebody kept; the chain must still go through it. */
  async verify(orgId: string, earlier: ChainHead | null = null): Promise<ChainVerdict> {
    const state = await this.#stateOf(orgId);
    const walk = new ChainWalk(orgId, earlier);
    const found =
      walk.begin() ?? (await this.#walkEntries(orgId, walk, state.lastSeq)) ?? walk.end(state);
    return {
      orgId,
      verified: walk.seq,
      hash: walk.hash,
      standing: walk.standing,
      broken: found,
    };
  }

  /** The installation's own chain, then that of every organization there is or was. */
  async *verifyAll(): AsyncGenerator<ChainVerdict, void, void> {
    yield await this.verify(INSTALLATION_ID);
    for (let after = INSTALLATION_ID; ;) {
      const page = await this.#chainsAfter(after);
      for (const orgId of page) yield await this.verify(orgId);
      const last = page.at(-1);
      if (last === undefined || page.length < CHAINS_PER_PAGE) return;
      after = last;
    }
  }

  async #walkEntries(
    orgId: string,
    walk: ChainWalk,
    lastSeq: number | null,
  ): Promise<Break | null> {
    if (lastSeq === null) return null;
    for (let after = BEFORE_ALL; after < lastSeq;) {
      const page = await this.#entriesAfter(orgId, after, lastSeq);
      for (const entry of page) {
        const found = walk.next(entry);
        if (found !== null) return this.#named(orgId, entry, walk, found);
        after = entry.seq;
      }
      // Somebody takes entries away while they are read.
      if (page.length === 0) return { fault: 'missing', seq: walk.seq + 1 };
    }
    return null;
  }

  /** An entry whose hash does not fit may be another one in its place: then its link leads to some other entry. */
  async #named(orgId: string, entry: AuditEntry, walk: ChainWalk, found: Break): Promise<Break> {
    if (found.fault !== 'changed' || entry.prevHash === walk.hash) return found;
    const [other] = await this.database.tenant(orgId, (q) =>
      q.query(
        `SELECT FROM audit_log WHERE org_id = $1 AND hash = decode($2, 'hex') AND audit_log.seq <> $3 LIMIT 1`,
        [orgId, entry.prevHash, entry.seq],
      ),
    );
    return other === undefined ? found : { ...found, fault: 'out_of_order' };
  }

  async #entriesAfter(orgId: string, after: number, lastSeq: number): Promise<AuditEntry[]> {
    return this.database.tenant(orgId, (q) =>
      q.query<AuditEntry>(
        `SELECT ${AUDIT_COLUMNS} FROM audit_log
          WHERE org_id = $1 AND audit_log.seq > $2 AND audit_log.seq <= $3
          ORDER BY audit_log.seq LIMIT ${ENTRIES_PER_PAGE}`,
        [orgId, after, lastSeq],
      ),
    );
  }

  /** One statement, hence one snapshot: entries, head and status are committed together and are compared so. */
  async #stateOf(orgId: string): Promise<ChainState> {
    const [row] = await this.database.tenant(orgId, (q) =>
      q.query<StateRow>(
        `SELECT (SELECT h.seq::float8 FROM audit_heads h WHERE h.org_id = $1) AS "headSeq",
                (SELECT encode(h.hash, 'hex') FROM audit_heads h WHERE h.org_id = $1) AS "headHash",
                (SELECT max(a.seq)::float8 FROM audit_log a WHERE a.org_id = $1) AS "lastSeq",
                (SELECT o.status FROM organizations o WHERE o.id = $1) AS status,
                (SELECT o.routing_hold FROM organizations o WHERE o.id = $1) AS hold,
                (SELECT v.routing_enabled FROM tenancy_version v) AS "routingEnabled"`,
        [orgId],
      ),
    );
    if (row === undefined) throw new Error('A query without FROM gave no row');
    const { headSeq, headHash } = row;
    return {
      head: headSeq === null || headHash === null ? null : { seq: headSeq, hash: headHash },
      lastSeq: row.lastSeq,
      stands: standingOf(row.status, row.hold),
      routingEnabled: row.routingEnabled ?? true,
    };
  }

  /** An organization whose head was taken away is still in the list, and one that was erased still has its head. */
  async #chainsAfter(after: string): Promise<string[]> {
    const rows = await this.database.directory((q) =>
      q.query<{ orgId: string }>(
        `SELECT org_id AS "orgId" FROM (
           (SELECT id AS org_id FROM organizations WHERE id > $1 ORDER BY id LIMIT ${CHAINS_PER_PAGE})
           UNION (SELECT org_id FROM audit_heads WHERE org_id > $1 ORDER BY org_id LIMIT ${CHAINS_PER_PAGE})
         ) AS chains ORDER BY org_id LIMIT ${CHAINS_PER_PAGE}`,
        [after],
      ),
    );
    return rows.map(({ orgId }) => orgId);
  }
}

interface StateRow {
  readonly headSeq: number | null;
  readonly headHash: string | null;
  readonly lastSeq: number | null;
  readonly status: string | null;
  readonly hold: boolean | null;
  readonly routingEnabled: boolean | null;
}
