/** `interim` and `conversion` are made by the funnel, `on_demand` by a member. */
export type ReportKind = 'interim' | 'conversion' | 'on_demand';

/** Counts of calls, and amounts in nano-USD as decimal strings. Amounts are sums over priced calls alone. */
export interface ReportLine {
  readonly calls: number;
  readonly spend_nano_usd: string;
  /** What `projected_calls` of them would have saved. */
  readonly projected_savings_nano_usd: string;
  readonly projected_calls: number;
}

/**
 * What a report says, as it is stored and shown. Savings are projections on the calls for which another model would
 * have been picked or kept, so `projected_nano_usd` is the spend of all priced calls less those savings.
 */
export interface ReportFigures extends ReportLine {
  /** Of this shape: a reader asks for it before it reads on. */
  readonly version: 1;
  readonly metered_calls: number;
  /** Of the metered ones: their usage was estimated, not reported. */
  readonly estimated_calls: number;
  readonly unmetered_calls: number;
  readonly unpriceable_calls: number;
  readonly projected_nano_usd: string;
  /** Left out of everything above: refused before they were forwarded, and calls of the sandbox. */
  readonly excluded: { readonly refused_calls: number; readonly synthetic_calls: number };
  /** By the model that was asked for, those with most calls first. */
  readonly models: readonly (ReportLine & {
    readonly provider: string;
    readonly model: string | null;
  })[];
  readonly route_classes: readonly (ReportLine & { readonly route_class: string | null })[];
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
