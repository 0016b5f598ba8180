import type { LedgerKind } from '../../domain/savings/ledger-entry.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { ReportPeriod } from '../observation/report.js';
import { partsOf } from './report-period.js';
import type {
  Adjustment,
  KindLine,
  ModelPairLine,
  ProjectLine,
  SavingsFigures,
  SavingsLine,
} from './savings-report.js';

/** Pairs of models and projects that are listed apart; the rest is one line, so that every list adds up. */
const LINES_MAX = 200;
const ADJUSTMENTS_SHOWN_MAX = 100;

export interface LedgerScope {
  readonly period: ReportPeriod;
  readonly includeSynthetic: boolean;
}

export type LedgerSums = Pick<
  SavingsFigures,
  'total' | 'by_kind' | 'by_models' | 'by_project' | 'auto' | 'synthetic' | 'adjustments'
>;

interface Group {
  readonly kind: LedgerKind;
  readonly project_id: string;
  readonly synthetic: boolean;
  readonly auto: boolean;
  readonly baseline_provider: string;
  readonly baseline_model: string;
  readonly served_provider: string;
  readonly served_model: string;
  readonly entries: number;
  readonly baseline: string;
  readonly actual: string;
  readonly savings: string;
}

const GROUPED = `kind, project_id, synthetic, auto, baseline_provider, baseline_model, served_provider, served_model`;
const GROUPS = `
  SELECT ${GROUPED}, count(*)::float8 AS entries, trunc(sum(baseline_nano_usd))::text AS baseline,
         trunc(sum(actual_nano_usd))::text AS actual, trunc(sum(savings_nano_usd))::text AS savings
    FROM savings_ledger
   WHERE org_id = $1 AND at_ms >= $2 AND at_ms < $3
   GROUP BY ${GROUPED}`;

/** Adds up the entries of a period, in a transaction that is scoped to the organization. Amounts stay integers. */
export async function sumLedger(
  q: Queryable,
  orgId: string,
  { period, includeSynthetic }: LedgerScope,
): Promise<LedgerSums> {
  const sums = new LedgerTotals(includeSynthetic);
  for (const { fromMs, toMs } of partsOf(period)) {
    for (const group of await q.query<Group>(GROUPS, [orgId, fromMs, toMs])) {
      sums.add(group);
    }
  }
  return {
    ...sums.lines(),
    adjustments: await adjustmentsOf(q, orgId, { period, includeSynthetic }),
  };
}

class Sum {
  entries = 0;
  baseline = 0n;
  actual = 0n;
  savings = 0n;

  add(group: Pick<Group, 'entries' | 'baseline' | 'actual' | 'savings'>): void {
    this.entries += group.entries;
    this.baseline += BigInt(group.baseline);
    this.actual += BigInt(group.actual);
    this.savings += BigInt(group.savings);
  }

  get line(): SavingsLine {
    return {
      entries: this.entries,
      baseline_nano_usd: String(this.baseline),
      actual_nano_usd: String(this.actual),
      savings_nano_usd: String(this.savings),
    };
  }
}

class LedgerTotals {
  readonly #total = new Sum();
  readonly #auto = new Sum();
  readonly #synthetic = new Sum();
  readonly #kinds = new Map<string, Sum>();
  readonly #models = new Map<string, Sum>();
  readonly #projects = new Map<string, Sum>();

  constructor(private readonly includeSynthetic: boolean) {}

  add(group: Group): void {
    if (group.synthetic) this.#synthetic.add(group);
    if (group.synthetic && !this.includeSynthetic) return;
    if (group.auto) {
      this.#auto.add(group);
      return;
    }
    this.#total.add(group);
    const { baseline_provider, baseline_model, served_provider, served_model } = group;
    const pair = [baseline_provider, baseline_model, served_provider, served_model];
    sumIn(this.#kinds, [group.kind]).add(group);
    sumIn(this.#models, pair).add(group);
    sumIn(this.#projects, [group.project_id]).add(group);
  }

  lines(): Omit<LedgerSums, 'adjustments'> {
    return {
      total: this.#total.line,
      auto: this.#auto.line,
      synthetic: this.#synthetic.line,
      by_kind: listed(this.#kinds, ([kind = null]) => ({ kind })) as KindLine[],
      by_models: listed(this.#models, ([a = null, b = null, c = null, d = null]) => ({
        baseline_provider: a,
        baseline_model: b,
        served_provider: c,
        served_model: d,
      })) as ModelPairLine[],
      by_project: listed(this.#projects, ([project_id = null]) => ({
        project_id,
      })) as ProjectLine[],
    };
  }
}

function sumIn(sums: Map<string, Sum>, names: readonly string[]): Sum {
  const key = JSON.stringify(names);
  const known = sums.get(key);
  if (known !== undefined) return known;
  const made = new Sum();
  sums.set(key, made);
  return made;
}

/** Those with most entries, in an order that is the same every time; the others as one line without names. */
function listed<Names>(
  sums: ReadonlyMap<string, Sum>,
  named: (names: readonly string[]) => Names,
): (Names & SavingsLine)[] {
  const sorted = [...sums].toSorted(
    ([a, left], [b, right]) => right.entries - left.entries || (a < b ? -1 : 1),
  );
  const lines = sorted
    .slice(0, LINES_MAX)
    .map(([key, sum]) => ({ ...named(JSON.parse(key) as string[]), ...sum.line }));
  if (sorted.length <= LINES_MAX) return lines;
  const rest = new Sum();
  for (const [, sum] of sorted.slice(LINES_MAX)) {
    const { entries, baseline, actual, savings } = sum;
    rest.add({ entries, baseline: `${baseline}`, actual: `${actual}`, savings: `${savings}` });
  }
  return [...lines, { ...named([]), ...rest.line }];
}

async function adjustmentsOf(
  q: Queryable,
  orgId: string,
  { period, includeSynthetic }: LedgerScope,
): Promise<Adjustment[]> {
  const rows = await q.query<Omit<Adjustment, 'at'> & { readonly atMs: number }>(
    `SELECT request_id, attempt, at_ms::float8 AS "atMs", savings_nano_usd::text
       FROM savings_ledger
      WHERE org_id = $1 AND at_ms >= $2 AND at_ms < $3
        AND kind = 'adjustment' AND ($4::boolean OR NOT synthetic)
      ORDER BY seq DESC LIMIT ${ADJUSTMENTS_SHOWN_MAX}`,
    [orgId, period.fromMs, period.toMs, includeSynthetic],
  );
  return rows.map(({ request_id, attempt, atMs, savings_nano_usd }) => ({
    request_id,
    attempt,
    at: new Date(atMs).toISOString(),
    savings_nano_usd,
  }));
}
