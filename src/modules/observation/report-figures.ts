import type { Queryable } from '../../platform/postgres/queryable.js';
import { PriceBook } from '../catalog/price-book.js';
import { alternativesFrom, type FindAlternative } from './report-alternatives.js';
import { ASKED_PROVIDER, computeEvidence } from './report-evidence.js';
import type { ReportFigures, ReportLine, ReportPeriod } from './report.js';

/** Models and route classes that a report lists; its sums include the others. */
const MODELS_MAX = 50;
const ROUTE_CLASSES_MAX = 50;
/** Models and route classes of one part of the period that are told apart at all. */
const GROUPS_PER_PART_MAX = 5_000;
const PRICE_VERSIONS_MAX = 1_000;
/** No single query reads more than this part of the period: each has the time limit of any other query. */
const PART_MS = 24 * 60 * 60 * 1000;

export interface ComputedReport {
  readonly figures: ReportFigures;
  readonly priceVersions: readonly string[];
}

/** A sum over the whole part (`total`), one model's, or one route class's. */
interface Group {
  readonly kind: 'total' | 'model' | 'route_class';
  readonly provider: string | null;
  readonly model: string | null;
  readonly route_class: string | null;
  readonly counts: Counts;
  /** Nano-USD as decimal strings. */
  readonly spend: string;
  readonly savings: string;
  readonly price_versions: readonly string[] | null;
}

interface Counts {
  readonly calls: number;
  readonly projected_calls: number;
  readonly metered_calls: number;
  readonly estimated_calls: number;
  readonly unmetered_calls: number;
  readonly unpriceable_calls: number;
  readonly refused_calls: number;
  readonly calls_with_evidence: number;
  /** Of `calls`, and of all. */
  readonly synthetic_counted: number;
  readonly synthetic_calls: number;
}

const REAL = `($4::boolean OR NOT synthetic)`;
const FORWARDED = `outcome <> 'refused'`;
const COUNTED = `${FORWARDED} AND ${REAL}`;
const PROJECTED = `${COUNTED} AND projected_cost_nano_usd IS NOT NULL AND cost_nano_usd IS NOT NULL`;

const COUNTS: Readonly<Record<keyof Counts, string>> = {
  calls: COUNTED,
  projected_calls: PROJECTED,
  metered_calls: `${COUNTED} AND metering IN ('reported', 'estimated')`,
  estimated_calls: `${COUNTED} AND metering = 'estimated'`,
  unmetered_calls: `${COUNTED} AND metering = 'unmetered'`,
  unpriceable_calls: `${COUNTED} AND pricing = 'unpriceable'`,
  refused_calls: `NOT (${FORWARDED}) AND ${REAL}`,
  calls_with_evidence: `${COUNTED} AND has_rule`,
  synthetic_counted: `${COUNTED} AND synthetic`,
  synthetic_calls: 'synthetic',
};

/** One reading of the calls for everything that is said of them. */
const GROUPS = `
  SELECT CASE WHEN grouping(provider) = 0 THEN 'model' WHEN grouping(route_class) = 0 THEN 'route_class'
              ELSE 'total' END AS kind,
         provider, requested_model AS model, route_class,
         json_build_object(${Object.entries(COUNTS)
           .map(([name, condition]) => `'${name}', count(*) FILTER (WHERE ${condition})`)
           .join(', ')}) AS counts,
         trunc(coalesce(sum(cost_nano_usd) FILTER (WHERE ${COUNTED}), 0))::text AS spend,
         trunc(coalesce(sum(cost_nano_usd - projected_cost_nano_usd) FILTER (WHERE ${PROJECTED}), 0))::text AS savings,
         CASE WHEN grouping(provider, route_class) = 3 THEN
           (array_agg(DISTINCT price_version) FILTER (WHERE ${COUNTED} AND price_version IS NOT NULL))[1:${PRICE_VERSIONS_MAX}]
         END AS price_versions
    FROM (SELECT ${ASKED_PROVIDER} AS provider, requested_model, route_class, outcome, synthetic, metering, pricing,
                 cost_nano_usd, projected_cost_nano_usd, price_version, EXISTS (
                   SELECT FROM route_rules g
                    WHERE g.org_id = $1 AND g.revoked_at IS NULL AND g.project_id = r.project_id
                      AND r.route_class IS NOT NULL AND g.route_class IN (r.route_class, '*')) AS has_rule
            FROM request_log r
           WHERE r.org_id = $1 AND r.started_at >= to_timestamp($2::float8 / 1000)
             AND r.started_at < to_timestamp($3::float8 / 1000)) AS calls
   GROUP BY GROUPING SETS ((), (provider, requested_model), (route_class))
   ORDER BY count(*) DESC LIMIT ${GROUPS_PER_PART_MAX}`;

const LIST_PRICES = alternativesFrom(() => new PriceBook());

/** Adds up an organization's calls of a period, in a transaction that is scoped to it. Amounts stay integers. */
export async function computeReport(
  q: Queryable,
  orgId: string,
  { fromMs, toMs }: ReportPeriod,
  includeSynthetic = false,
  findAlternative: FindAlternative = LIST_PRICES,
): Promise<ComputedReport> {
  const sums = new Map<string, Sum>();
  const priceVersions = new Set<string>();
  for (let partMs = fromMs; partMs < toMs; partMs += PART_MS) {
    const part = [orgId, partMs, Math.min(partMs + PART_MS, toMs), includeSynthetic];
    for (const group of await q.query<Group>(GROUPS, part)) {
      add(sums, group);
      for (const version of group.price_versions ?? []) priceVersions.add(version);
    }
  }
  const of = (kind: Group['kind']): Sum[] =>
    [...sums.values()].filter((sum) => sum.group.kind === kind && sum.counts.calls > 0);
  const total = sums.get(TOTAL);
  const { refused_calls, synthetic_calls, synthetic_counted, ...counts } = total?.counts ?? NOTHING;
  return {
    figures: {
      version: 2,
      synthetic_included: includeSynthetic,
      ...counts,
      synthetic_calls: synthetic_counted,
      ...amountsOf(total),
      projected_nano_usd: String((total?.spend ?? 0n) - (total?.savings ?? 0n)),
      excluded: { refused_calls, synthetic_calls: includeSynthetic ? 0 : synthetic_calls },
      models: largest(of('model'), MODELS_MAX).map((sum) => ({
        provider: sum.group.provider ?? '',
        model: sum.group.model,
        ...lineOf(sum),
      })),
      route_classes: largest(of('route_class'), ROUTE_CLASSES_MAX).map((sum) => ({
        route_class: sum.group.route_class,
        ...lineOf(sum),
      })),
      evidence: await computeEvidence(
        q,
        orgId,
        { fromMs, toMs },
        includeSynthetic,
        findAlternative,
      ),
    },
    priceVersions: [...priceVersions].toSorted().slice(0, PRICE_VERSIONS_MAX),
  };
}

interface Sum {
  readonly group: Group;
  readonly key: string;
  readonly counts: Counts;
  readonly spend: bigint;
  readonly savings: bigint;
}

const NOTHING = Object.fromEntries(
  Object.keys(COUNTS).map((name) => [name, 0]),
) as unknown as Counts;
const keyOf = ({ kind, provider, model, route_class: routeClass }: Group): string =>
  JSON.stringify(kind === 'total' ? [kind] : [kind, provider, model, routeClass]);
const TOTAL = JSON.stringify(['total']);

function add(sums: Map<string, Sum>, group: Group): void {
  const key = keyOf(group);
  const before = sums.get(key);
  const names = Object.keys(COUNTS) as (keyof Counts)[];
  const counts = names.map((name) => [name, group.counts[name] + (before?.counts[name] ?? 0)]);
  sums.set(key, {
    group,
    key,
    counts: Object.fromEntries(counts) as unknown as Counts,
    spend: BigInt(group.spend) + (before?.spend ?? 0n),
    savings: BigInt(group.savings) + (before?.savings ?? 0n),
  });
}

/** Those with most calls; among equals the order is the same every time. */
function largest(sums: readonly Sum[], atMost: number): Sum[] {
  const compare = (a: Sum, b: Sum): number =>
    b.counts.calls - a.counts.calls || (a.key < b.key ? -1 : 1);
  return sums.toSorted(compare).slice(0, atMost);
}

function lineOf(sum: Sum): ReportLine {
  const { calls, projected_calls, calls_with_evidence, synthetic_counted } = sum.counts;
  return {
    calls,
    projected_calls,
    calls_with_evidence,
    synthetic_calls: synthetic_counted,
    ...amountsOf(sum),
  };
}

function amountsOf(sum: Sum | undefined) {
  return {
    spend_nano_usd: String(sum?.spend ?? 0n),
    projected_savings_nano_usd: String(sum?.savings ?? 0n),
  };
}
