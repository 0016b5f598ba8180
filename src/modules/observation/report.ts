/** `interim` and `conversion` are made by the funnel, `on_demand` by a member. */
export type ReportKind = 'interim' | 'conversion' | 'on_demand';

/** Counts of calls, and amounts in nano-USD as decimal strings. Amounts are sums over priced calls alone. */
export interface ReportLine {
  readonly calls: number;
  readonly spend_nano_usd: string;
  /** What `projected_calls` of them would have saved. */
  readonly projected_savings_nano_usd: string;
  readonly projected_calls: number;
  /** Those whose class has evidence (`evidence.classes` says which): the others stay. Not told in version 1. */
  readonly calls_with_evidence?: number;
  /** Those that the sandbox served, where it was asked to be counted: nobody paid for them. */
  readonly synthetic_calls?: number;
}

/**
 * What a report says, as it is stored and shown. Savings are projections on the calls for which another model would
 * have been picked or kept, so `projected_nano_usd` is the spend of all priced calls less those savings.
 */
interface SharedFigures extends ReportLine {
  readonly metered_calls: number;
  /** Of the metered ones: their usage was estimated, not reported. */
  readonly estimated_calls: number;
  readonly unmetered_calls: number;
  readonly unpriceable_calls: number;
  readonly projected_nano_usd: string;
  /** Left out of everything else: refused before they were forwarded, and calls of the sandbox unless they were asked for. */
  readonly excluded: { readonly refused_calls: number; readonly synthetic_calls: number };
  /** By the model that was asked for, those with most calls first. */
  readonly models: readonly (ReportLine & {
    readonly provider: string;
    readonly model: string | null;
  })[];
  readonly route_classes: readonly (ReportLine & { readonly route_class: string | null })[];
}

/** What would keep its model, and why; the spend is of the priced ones among them. */
export interface StayLine {
  readonly reason: string;
  readonly calls: number;
  readonly spend_nano_usd: string;
}

/** What evidence for a class would take, were its main model replaced by the cheapest of the same provider. */
export interface EvidencePlanLine {
  readonly method: string;
  readonly provider: string;
  readonly requested_model: string;
  readonly candidate_model: string;
  /** Answers to be judged; what asking the candidate for them costs; how long they take at the pace of the period. */
  readonly labels: number;
  readonly cost_nano_usd: string;
  readonly days: number;
  /** At most: some calls may use what the candidate lacks. */
  readonly saving_per_30_days_nano_usd: string;
}

/** `rule`: the owner allowed it by hand; `none`: the class stays at what was asked for. */
export interface EvidenceLine {
  readonly project_id: string;
  readonly route_class: string;
  readonly calls: number;
  readonly spend_nano_usd: string;
  readonly evidence: 'none' | 'rule';
  /** Null where there is evidence, or nothing cheaper is known. */
  readonly plan: EvidencePlanLine | null;
}

export interface EvidenceFigures {
  /** In basis points: how much may be lost, how sure one has to be, and what is expected. */
  readonly goal: {
    readonly tolerance_bp: number;
    readonly confidence_bp: number;
    readonly expected_loss_bp: number;
  };
  readonly classes: readonly EvidenceLine[];
  readonly classes_left_out: number;
  readonly stays: readonly StayLine[];
  /** What kept candidates out of calls that stay, where the router was asked; a call may have several. */
  readonly ineligible: readonly { readonly reason: string; readonly calls: number }[];
}

/** `version` is of the shape: a reader asks for it before it reads on. Version 1 was made until evidence was told of. */
export type ReportFigures = SharedFigures &
  (
    | { readonly version: 1 }
    | {
        readonly version: 2;
        /** Calls of the sandbox count like any other: then no amount is anybody's money. */
        readonly synthetic_included: boolean;
        readonly evidence: EvidenceFigures;
      }
  );

export function includesSynthetic(figures: ReportFigures): boolean {
  return figures.version === 2 && figures.synthetic_included;
}

export interface ReportPeriod {
  readonly fromMs: number;
  /** Exclusive. */
  readonly toMs: number;
}

export interface Report {
  readonly id: string;
  readonly kind: ReportKind;
  readonly createdAtMs: number;
  readonly period: ReportPeriod;
  readonly figures: ReportFigures;
  readonly priceVersions: readonly string[];
}

/** The part of a report that a mail shows. */
export function mailDataOf({ id, period, figures }: Report): Readonly<Record<string, unknown>> {
  return {
    period: {
      from: new Date(period.fromMs).toISOString(),
      to: new Date(period.toMs).toISOString(),
    },
    calls: figures.calls,
    metered_calls: figures.metered_calls,
    unmetered_calls: figures.unmetered_calls,
    unpriceable_calls: figures.unpriceable_calls,
    spend_nano_usd: figures.spend_nano_usd,
    projected_nano_usd: figures.projected_nano_usd,
    projected_savings_nano_usd: figures.projected_savings_nano_usd,
    projected_calls: figures.projected_calls,
    report_id: id,
  };
}
