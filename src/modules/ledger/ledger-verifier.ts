import type { Database } from '../../platform/postgres/database.js';
import type { LedgerHead } from './ledger-heads.js';
import { ledgerStateOf, readLedger } from './ledger-reader.js';
import { LedgerWalk, type LedgerBreak, type LedgerTotals } from './ledger-walk.js';

/** What a verification found of one ledger. */
export interface LedgerVerdict {
  readonly orgId: string;
  /** How many entries hold, from the first on, and how many of them are under seal. */
  readonly entries: number;
  readonly sealedEntries: number;
  /** The last seal that holds. */
  readonly head: LedgerHead;
  /** Over the entries that hold. */
  readonly totals: LedgerTotals;
  /** Null where the whole ledger holds. */
  readonly broken: LedgerBreak | null;
}

const CHAINS_PER_PAGE = 500;
const BEFORE_ALL = '00000000-0000-0000-0000-000000000000';

/**
 * Recomputes ledgers: every amount, every hash, every seal and its signature, and where they end. What is added while
 * it reads is left to the next time.
 */
export class LedgerVerifier {
  constructor(
    private readonly database: Database,
    /** PEM: that of the key that this installation signs with now. */
    private readonly publicKey: string,
  ) {}

  /**
   * @param earlier a head that somebody kept; the chain must still go through it.
   * @param formerKeys public keys (PEM) that this installation signed with before.
   */
  async verify(
    orgId: string,
    earlier: LedgerHead | null = null,
    formerKeys: readonly string[] = [],
  ): Promise<LedgerVerdict> {
    const state = await ledgerStateOf(this.database, orgId);
    const walk = new LedgerWalk(orgId, earlier, [this.publicKey, ...formerKeys]);
    let broken = walk.begin();
    if (broken === null) {
      for await (const item of readLedger(this.database, orgId, state)) {
        broken = walk.next(item);
        if (broken !== null) break;
      }
    }
    const { entries, sealedEntries, head, totals } = walk;
    return { orgId, entries, sealedEntries, head, totals, broken: broken ?? walk.end(state) };
  }

  /** Every ledger that there is or was, also of organizations that are gone. */
  async *verifyAll(formerKeys: readonly string[] = []): AsyncGenerator<LedgerVerdict, void, void> {
    for (let after = BEFORE_ALL; ;) {
      const page = await this.#ledgersAfter(after);
      for (const orgId of page) yield await this.verify(orgId, null, formerKeys);
      const last = page.at(-1);
      if (last === undefined || page.length < CHAINS_PER_PAGE) return;
      after = last;
    }
  }

  /** An organization whose head was taken away is still in the list of organizations. */
  async #ledgersAfter(after: string): Promise<string[]> {
    const rows = await this.database.directory((q) =>
      q.query<{ orgId: string }>(
        `SELECT org_id AS "orgId" FROM (
           (SELECT id AS org_id FROM organizations WHERE id > $1 ORDER BY id LIMIT ${CHAINS_PER_PAGE})
           UNION (SELECT org_id FROM ledger_heads WHERE org_id > $1 ORDER BY org_id LIMIT ${CHAINS_PER_PAGE})
         ) AS ledgers ORDER BY org_id LIMIT ${CHAINS_PER_PAGE}`,
        [after],
      ),
    );
    return rows.map(({ orgId }) => orgId);
  }
}
