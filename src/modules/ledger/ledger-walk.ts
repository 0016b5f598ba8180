import { recomputeCost } from '../../domain/pricing/price-record.js';
import { CHAIN_START, hashEntry, hashSeal, RootHash } from './ledger-encoding.js';
import type { LedgerRow, SealRow } from './ledger-encoding.js';
import { headOf, isGenuineLedgerHead, keyIdOf, type LedgerHead } from './ledger-heads.js';
import type { LedgerItem, LedgerState } from './ledger-reader.js';

/** In which way a ledger is broken. */
export type LedgerFault =
  /** There is none of that number, and there was one. */
  | 'missing'
  /** It does not follow the one before it. */
  | 'out_of_order'
  /** An amount does not follow from the usage and the prices beside it. */
  | 'amount'
  /** What stands in it is not what was hashed or sealed. */
  | 'changed'
  /** The signature is not the key's. */
  | 'signature'
  /** It is signed with a key that the reader does not trust: anybody could have signed it. */
  | 'unknown_key'
  /** The chain does not end, or did not stand, where a head says. */
  | 'head_mismatch';

/** The first difference. */
export interface LedgerBreak {
  readonly fault: LedgerFault;
  readonly in: 'entry' | 'seal' | 'head';
  /** The number of the entry or seal; of a head what it says. */
  readonly seq: number;
  /** The column, where one can be told. */
  readonly field: string | null;
}

/** What entries add up to, nano-USD. */
export interface LedgerSum {
  readonly entries: number;
  readonly actualNanoUsd: bigint;
  readonly baselineNanoUsd: bigint;
  readonly savingsNanoUsd: bigint;
}

/** `shunt/auto` is a part of `real`; what the sandbox served is in `synthetic` alone. */
export interface LedgerTotals {
  readonly real: LedgerSum;
  readonly auto: LedgerSum;
  readonly synthetic: LedgerSum;
}

const NOTHING: LedgerSum = {
  entries: 0,
  actualNanoUsd: 0n,
  baselineNanoUsd: 0n,
  savingsNanoUsd: 0n,
};

/** Walks a ledger item by item and keeps only where it is. */
export class LedgerWalk {
  #seq = 0;
  #seal = 0;
  #sealHash = CHAIN_START;
  #sealed = 0;
  #root = new RootHash();
  #totals: LedgerTotals = { real: NOTHING, auto: NOTHING, synthetic: NOTHING };
  readonly #keys: ReadonlyMap<string, string>;

  constructor(
    private readonly orgId: string,
    private readonly earlier: LedgerHead | null,
    /** PEM: each seal must be signed with one of them. */
    publicKeys: readonly string[],
  ) {
    this.#keys = new Map(publicKeys.map((publicKey) => [keyIdOf(publicKey), publicKey]));
  }

  /** How many entries hold, from the first on. */
  get entries(): number {
    return this.#seq;
  }

  /** The last seal that holds. */
  get head(): LedgerHead {
    return { seal: this.#seal, hash: this.#sealHash };
  }

  get sealedEntries(): number {
    return this.#sealed;
  }

  get totals(): LedgerTotals {
    return this.#totals;
  }

  /** Before the first item. */
  begin(): LedgerBreak | null {
    return this.#meetsEarlier();
  }

  /** Null while all is well. */
  next(item: LedgerItem): LedgerBreak | null {
    return item.kind === 'entry' ? this.#entry(item.entry) : this.#sealOver(item.seal);
  }

  /** After the last item. */
  end({ headSeq, lastSeal }: LedgerState): LedgerBreak | null {
    const missing = (of: 'entry' | 'seal', seq: number): LedgerBreak => ({
      fault: 'missing',
      in: of,
      seq,
      field: null,
    });
    const seq = headSeq ?? 0;
    if (seq > this.#seq) return missing('entry', this.#seq + 1);
    if (seq < this.#seq) return { fault: 'head_mismatch', in: 'head', seq, field: 'seq' };
    if (lastSeal > this.#seal) return missing('seal', this.#seal + 1);
    if (this.earlier !== null && this.earlier.seal > this.#seal) {
      return missing('seal', this.#seal + 1);
    }
    return null;
  }

  #entry(row: LedgerRow): LedgerBreak | null {
    const expected = this.#seq + 1;
    const seq = Number(row.seq);
    const broken = (fault: LedgerFault, field: string | null): LedgerBreak => ({
      fault,
      in: 'entry',
      seq: expected,
      field,
    });
    if (seq > expected) return broken('missing', null);
    if (seq < expected) return { ...broken('out_of_order', 'seq'), seq };
    if (row.org_id !== this.orgId) return broken('changed', 'org_id');
    const wrong = wrongAmountOf(row);
    if (wrong !== null) return broken('amount', wrong);
    if (hashEntry(row) !== row.entry_hash) return broken('changed', 'entry_hash');
    this.#seq = seq;
    this.#root.add(row.entry_hash);
    this.#add(row);
    return null;
  }

  #sealOver(seal: SealRow): LedgerBreak | null {
    const expected = this.#seal + 1;
    const broken = (fault: LedgerFault, field: string | null): LedgerBreak => ({
      fault,
      in: 'seal',
      seq: expected,
      field,
    });
    if (seal.seq > expected) return broken('missing', null);
    if (seal.seq < expected) return { ...broken('out_of_order', 'seq'), seq: seal.seq };
    if (seal.first !== this.#sealed + 1) return broken('changed', 'range');
    if (seal.last > this.#seq) {
      return { fault: 'missing', in: 'entry', seq: this.#seq + 1, field: null };
    }
    if (seal.last !== this.#seq) return broken('changed', 'range');
    if (seal.prev !== this.#sealHash) return broken('changed', 'prev');
    if (seal.root !== this.#root.digest()) return broken('changed', 'root');
    if (hashSeal(seal) !== seal.hash) return broken('changed', 'hash');
    const publicKey = this.#keys.get(seal.keyId);
    if (publicKey === undefined) return broken('unknown_key', 'key_id');
    if (!isGenuineLedgerHead(publicKey, headOf(seal))) return broken('signature', 'signature');
    this.#seal = seal.seq;
    this.#sealHash = seal.hash;
    this.#sealed = seal.last;
    this.#root = new RootHash();
    return this.#meetsEarlier();
  }

  #meetsEarlier(): LedgerBreak | null {
    if (this.earlier?.seal !== this.#seal || this.earlier.hash === this.#sealHash) return null;
    return { fault: 'head_mismatch', in: 'head', seq: this.#seal, field: 'hash' };
  }

  #add(row: LedgerRow): void {
    const { real, auto, synthetic } = this.#totals;
    if (row.synthetic === 'true') {
      this.#totals = { real, auto, synthetic: plus(synthetic, row) };
      return;
    }
    this.#totals = {
      real: plus(real, row),
      auto: row.auto === 'true' ? plus(auto, row) : auto,
      synthetic,
    };
  }
}

function plus(sum: LedgerSum, row: LedgerRow): LedgerSum {
  return {
    entries: sum.entries + 1,
    actualNanoUsd: sum.actualNanoUsd + BigInt(row.actual_nano_usd),
    baselineNanoUsd: sum.baselineNanoUsd + BigInt(row.baseline_nano_usd),
    savingsNanoUsd: sum.savingsNanoUsd + BigInt(row.savings_nano_usd),
  };
}

/** The column that does not follow from the others. */
function wrongAmountOf(row: LedgerRow): string | null {
  const isAdjustment = row.kind === 'adjustment';
  const actual = recomputed(row.usage, row.served_prices, isAdjustment);
  if (actual === null || String(actual) !== row.actual_nano_usd) return 'actual_nano_usd';
  const baseline = recomputed(row.baseline_usage, row.baseline_prices, isAdjustment);
  if (baseline === null || String(baseline) !== row.baseline_nano_usd) return 'baseline_nano_usd';
  return String(baseline - actual) === row.savings_nano_usd ? null : 'savings_nano_usd';
}

function recomputed(usageText: string, pricesText: string, mayTakeBack: boolean): bigint | null {
  const usage = JSON.parse(usageText) as Record<string, unknown>;
  const prices = JSON.parse(pricesText) as Record<string, unknown>;
  return recomputeCost(usage, prices, mayTakeBack);
}
