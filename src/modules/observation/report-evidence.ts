import {
  DEFAULT_GOAL,
  evidencePlan,
  labelsNeeded,
  type EvidenceGoal,
} from '../../domain/reports/evidence-plan.js';
import { usageFromRecord } from '../../domain/pricing/price-record.js';
import { NO_USAGE, type Usage } from '../../domain/pricing/usage.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { FindAlternative } from './report-alternatives.js';
import type { EvidenceFigures, EvidenceLine, ReportPeriod, StayLine } from './report.js';

/** Classes that are listed; those beyond are counted. */
const CLASSES_MAX = 50;
const GROUPS_PER_PART_MAX = 5_000;
const REASONS_MAX = 100;
/** No single query reads more than this part of the period. */
const PART_MS = 24 * 60 * 60 * 1000;
const COUNTED = `org_id = $1 AND started_at >= to_timestamp($2::float8 / 1000) AND started_at < to_timestamp($3::float8 / 1000)
  AND outcome <> 'refused' AND ($4::boolean OR NOT synthetic)`;

/** Of a call that went to another provider, the one that was asked. */
export const ASKED_PROVIDER = `coalesce(routing #>> '{inputs,requested,provider}', provider)`;

/** What an application does, by model, with the usage that it had: the sum of each dimension. */
const CLASSES = `
  WITH calls AS (
    SELECT project_id, route_class, ${ASKED_PROVIDER} AS provider, requested_model AS model, cost_nano_usd, usage
      FROM request_log WHERE ${COUNTED} AND route_class IS NOT NULL
  ), used AS (
    SELECT project_id, route_class, provider, model, u.key, sum(u.value::numeric) AS units
      FROM calls, jsonb_each_text(usage) AS u WHERE cost_nano_usd IS NOT NULL GROUP BY 1, 2, 3, 4, 5
  )
  SELECT project_id, route_class, provider, model, count(*)::float8 AS calls,
         count(cost_nano_usd)::float8 AS priced, trunc(coalesce(sum(cost_nano_usd), 0))::text AS spend,
         (SELECT jsonb_object_agg(used.key, used.units) FROM used
           WHERE (used.project_id, used.route_class, used.provider) = (calls.project_id, calls.route_class, calls.provider)
             AND used.model IS NOT DISTINCT FROM calls.model) AS usage
    FROM calls GROUP BY project_id, route_class, provider, model
   ORDER BY count(*) DESC LIMIT ${GROUPS_PER_PART_MAX}`;

/** Why a call would keep its model: the router's own reason where it was asked, the shadow's otherwise. */
const STAYS = `
  SELECT coalesce(routing -> 'decision' ->> 'reason', classification ->> 'reason', classification ->> 'projection', 'not_read') AS reason,
         count(*)::float8 AS calls, trunc(coalesce(sum(cost_nano_usd), 0))::text AS spend
    FROM request_log
   WHERE ${COUNTED} AND projected_model IS NOT DISTINCT FROM requested_model
     AND jsonb_typeof(routing -> 'decision' -> 'wouldRoute') IS DISTINCT FROM 'object'
   GROUP BY 1 ORDER BY 2 DESC LIMIT ${REASONS_MAX}`;

/** Of these calls, what kept single candidates out; a call counts once for each word that it has. */
const INELIGIBLE = `
  SELECT word AS reason, count(DISTINCT request_id)::float8 AS calls
    FROM request_log,
         jsonb_path_query(routing, '$.inputs.candidates[*].ineligible[*]') AS found, LATERAL (SELECT found #>> '{}' AS word) AS w
   WHERE ${COUNTED} AND routing IS NOT NULL
     AND jsonb_typeof(routing -> 'decision' -> 'wouldRoute') IS DISTINCT FROM 'object'
   GROUP BY 1 ORDER BY 2 DESC LIMIT ${REASONS_MAX}`;

const RULES = `
  SELECT project_id, route_class FROM route_rules WHERE org_id = $1 AND revoked_at IS NULL LIMIT 10000`;

interface ClassGroup {
  readonly project_id: string;
  readonly route_class: string;
  readonly provider: string;
  readonly model: string | null;
  readonly calls: number;
  readonly priced: number;
  readonly spend: string;
  readonly usage: Readonly<Record<string, number>> | null;
}

interface ModelSum {
  readonly provider: string;
  readonly model: string;
  calls: number;
  priced: number;
  spend: bigint;
  usage: Usage;
}

interface ClassSum {
  readonly projectId: string;
  readonly routeClass: string;
  calls: number;
  spend: bigint;
  readonly models: Map<string, ModelSum>;
}

/** What each class rests on, what stays and why, and what evidence would take: in a transaction that is scoped. */
export async function computeEvidence(
  q: Queryable,
  orgId: string,
  period: ReportPeriod,
  includeSynthetic: boolean,
  findAlternative: FindAlternative,
  goal: EvidenceGoal = DEFAULT_GOAL,
): Promise<EvidenceFigures> {
  const classes = new Map<string, ClassSum>();
  const stays = new Map<string, { calls: number; spend: bigint }>();
  const obstacles = new Map<string, number>();
  for (let partMs = period.fromMs; partMs < period.toMs; partMs += PART_MS) {
    const part = [orgId, partMs, Math.min(partMs + PART_MS, period.toMs), includeSynthetic];
    for (const group of await q.query<ClassGroup>(CLASSES, part)) addClass(classes, group);
    for (const { reason, calls, spend } of await q.query<StayRow>(STAYS, part)) {
      const before = stays.get(reason) ?? { calls: 0, spend: 0n };
      stays.set(reason, { calls: before.calls + calls, spend: before.spend + BigInt(spend) });
    }
    for (const { reason, calls } of await q.query<Omit<StayRow, 'spend'>>(INELIGIBLE, part)) {
      obstacles.set(reason, (obstacles.get(reason) ?? 0) + calls);
    }
  }
  const rules = await q.query<{ project_id: string; route_class: string }>(RULES, [orgId]);
  const ruled = new Set(rules.map((rule) => `${rule.project_id} ${rule.route_class}`));
  const labels = labelsNeeded(goal);
  const sorted = [...classes.values()].toSorted(
    (a, b) => b.calls - a.calls || (a.routeClass < b.routeClass ? -1 : 1),
  );
  return {
    goal: {
      tolerance_bp: goal.toleranceBp,
      confidence_bp: goal.confidenceBp,
      expected_loss_bp: goal.expectedLossBp,
    },
    classes: sorted.slice(0, CLASSES_MAX).map((sum) => {
      const hasRule =
        ruled.has(`${sum.projectId} ${sum.routeClass}`) || ruled.has(`${sum.projectId} *`);
      return lineOf(sum, hasRule, labels, period, findAlternative);
    }),
    classes_left_out: Math.max(0, sorted.length - CLASSES_MAX),
    stays: [...stays]
      .toSorted(([a, left], [b, right]) => right.calls - left.calls || (a < b ? -1 : 1))
      .map(([reason, { calls, spend }]) => ({ reason, calls, spend_nano_usd: String(spend) })),
    ineligible: [...obstacles]
      .toSorted(([a, left], [b, right]) => right - left || (a < b ? -1 : 1))
      .map(([reason, calls]) => ({ reason, calls })),
  };
}

interface StayRow extends Omit<StayLine, 'spend_nano_usd'> {
  readonly spend: string;
}

function addClass(classes: Map<string, ClassSum>, group: ClassGroup): void {
  const key = `${group.project_id} ${group.route_class}`;
  const sum = classes.get(key) ?? {
    projectId: group.project_id,
    routeClass: group.route_class,
    calls: 0,
    spend: 0n,
    models: new Map<string, ModelSum>(),
  };
  classes.set(key, sum);
  sum.calls += group.calls;
  sum.spend += BigInt(group.spend);
  if (group.model === null) return;
  const modelKey = `${group.provider} ${group.model}`;
  const model = sum.models.get(modelKey) ?? {
    provider: group.provider,
    model: group.model,
    calls: 0,
    priced: 0,
    spend: 0n,
    usage: NO_USAGE,
  };
  sum.models.set(modelKey, model);
  model.calls += group.calls;
  model.priced += group.priced;
  model.spend += BigInt(group.spend);
  model.usage = added(model.usage, usageFromRecord(group.usage ?? {}) ?? NO_USAGE);
}

function added(a: Usage, b: Usage): Usage {
  const names = Object.keys(NO_USAGE) as (keyof Usage)[];
  return Object.fromEntries(names.map((name) => [name, a[name] + b[name]])) as unknown as Usage;
}

/** The plan is for the model of the class that most of its calls ask for. */
function lineOf(
  sum: ClassSum,
  hasRule: boolean,
  labels: number | null,
  period: ReportPeriod,
  findAlternative: FindAlternative,
): EvidenceLine {
  const [main] = [...sum.models.values()].toSorted((a, b) => b.priced - a.priced);
  const line = {
    project_id: sum.projectId,
    route_class: sum.routeClass,
    calls: sum.calls,
    spend_nano_usd: String(sum.spend),
    evidence: hasRule ? ('rule' as const) : ('none' as const),
    plan: null,
  };
  if (hasRule || labels === null || main === undefined || main.priced === 0) return line;
  const candidate = findAlternative(main.provider, main.model, main.usage, period.toMs);
  if (candidate === null) return line;
  const plan = evidencePlan(labels, {
    calls: main.priced,
    spendNanoUsd: main.spend,
    candidateNanoUsd: candidate.costNanoUsd,
    // What came in an hour is not taken for what comes in every hour.
    periodMs: Math.max(period.toMs - period.fromMs, PART_MS),
  });
  if (plan === null) return line;
  return {
    ...line,
    plan: {
      method: plan.method,
      provider: main.provider,
      requested_model: main.model,
      candidate_model: candidate.model,
      labels: plan.labels,
      cost_nano_usd: String(plan.costNanoUsd),
      days: plan.days,
      saving_per_30_days_nano_usd: String(plan.savingPer30DaysNanoUsd),
    },
  };
}
