import type { Clock } from '../../platform/clock.js';
import type { Signer } from '../../platform/crypto/signer.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { safeError, type Logger } from '../../platform/telemetry/logger.js';
import { CHAIN_START, hashSeal, RootHash } from './ledger-encoding.js';
import { keyIdOf, ledgerHeadText, ledgerHeadWithin } from './ledger-heads.js';

/** Entries under one seal: its hashes are read at once. */
const ENTRIES_PER_SEAL = 5_000;
/** Of one organization in one run; the rest waits for the next. */
const SEALS_PER_RUN = 200;
const ORGANIZATIONS_PER_PAGE = 200;
const ORGANIZATIONS_PER_RUN = 20_000;
const BEFORE_ALL = '00000000-0000-0000-0000-000000000000';

/** Its entries are not numbered without gaps: somebody took one away. Nothing is sealed over that. */
export class LedgerGapError extends Error {
  override readonly name = 'LedgerGapError';

  constructor(
    readonly orgId: string,
    readonly seq: number,
  ) {
    super('an entry of a ledger is missing');
  }
}

export interface SealingRun {
  readonly organizations: number;
  readonly seals: number;
  readonly entries: number;
  /** Organizations whose entries could not be sealed; the log says which. */
  readonly failed: number;
}

/**
 * Puts what is new in the ledgers under seal: ranges without gaps, each over the one before, signed. One sealer of an
 * organization at a time; each seal is a transaction, so that a run may end anywhere.
 */
export class LedgerSealer {
  readonly #keyId: string;

  constructor(
    private readonly database: Database,
    private readonly signer: Signer,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {
    this.#keyId = keyIdOf(signer.publicKey);
  }

  /** Everything that is committed by now, within the bounds of a run. */
  async sealDue(signal?: AbortSignal): Promise<SealingRun> {
    const run = { organizations: 0, seals: 0, entries: 0, failed: 0 };
    for (let after = BEFORE_ALL; run.organizations < ORGANIZATIONS_PER_RUN;) {
      const page = await this.#unsealedAfter(after);
      for (const orgId of page) {
        if (signal?.aborted) return run;
        run.organizations += 1;
        try {
          const { seals, entries } = await this.seal(orgId, signal);
          run.seals += seals;
          run.entries += entries;
        } catch (error) {
          run.failed += 1;
          this.logger.error({ orgId, err: safeError(error) }, 'a ledger could not be sealed');
        }
      }
      const last = page.at(-1);
      if (last === undefined || page.length < ORGANIZATIONS_PER_PAGE) return run;
      after = last;
    }
    return run;
  }

  /** What one organization has. Zeros where it is all sealed, or another sealer is at it. */
  async seal(orgId: string, signal?: AbortSignal): Promise<{ seals: number; entries: number }> {
    let [seals, entries] = [0, 0];
    while (seals < SEALS_PER_RUN) {
      if (signal?.aborted) break;
      const sealed = await this.database.tenant(orgId, (q) => this.#sealNext(q, orgId));
      if (sealed === 0) break;
      seals += 1;
      entries += sealed;
      if (sealed < ENTRIES_PER_SEAL) break;
    }
    return { seals, entries };
  }

  async #sealNext(q: Queryable, orgId: string): Promise<number> {
    const [lock] = await q.query<{ held: boolean }>(
      `SELECT pg_try_advisory_xact_lock(hashtextextended('shunt.ledger_seal.' || $1, 0)) AS held`,
      [orgId],
    );
    if (lock?.held !== true) return 0;
    const before = await ledgerHeadWithin(q, orgId);
    const first = (before?.entries ?? 0) + 1;
    const rows = await q.query<{ seq: number; hash: string }>(
      `SELECT seq::float8 AS seq, encode(entry_hash, 'hex') AS hash FROM savings_ledger
        WHERE org_id = $1 AND savings_ledger.seq >= $2 ORDER BY savings_ledger.seq LIMIT ${ENTRIES_PER_SEAL}`,
      [orgId, first],
    );
    if (rows.length === 0) return 0;
    const root = new RootHash();
    rows.forEach((row, index) => {
      if (row.seq !== first + index) throw new LedgerGapError(orgId, first + index);
      root.add(row.hash);
    });
    const unsigned = {
      orgId,
      seq: (before?.seal ?? 0) + 1,
      first,
      last: first + rows.length - 1,
      root: root.digest(),
      prev: before?.hash ?? CHAIN_START,
      sealedAt: new Date(this.clock.nowMs()).toISOString(),
    };
    const { seq, last, prev, sealedAt } = unsigned;
    const hash = hashSeal(unsigned);
    const signature = this.signer.sign(
      ledgerHeadText({ orgId, seal: seq, entries: last, hash, sealedAt }),
    );
    await q.query(
      `INSERT INTO seals (org_id, seq, range, root, prev, hash, sealed_at, signature, key_id)
       VALUES ($1, $2, int8range($3, $4, '[]'), decode($5, 'hex'), decode($6, 'hex'), decode($7, 'hex'), $8, $9, $10)`,
      [orgId, seq, first, last, unsigned.root, prev, hash, sealedAt, signature, this.#keyId],
    );
    return rows.length;
  }

  async #unsealedAfter(after: string): Promise<string[]> {
    const rows = await this.database.query<{ id: string }>(
      `SELECT organizations_with_unsealed_entries($1, ${ORGANIZATIONS_PER_PAGE}) AS id`,
      [after],
    );
    return rows.map(({ id }) => id);
  }
}
