import type { Exclusion, LedgerKind } from '../../domain/savings/ledger-entry.js';
import type { ReportPeriod } from '../observation/report.js';
import type { MeasuredJson } from './measured-sessions.js';

/** Sums of ledger entries; amounts are decimal strings of nano-USD. */
export interface SavingsLine {
  readonly entries: number;
  readonly baseline_nano_usd: string;
  readonly actual_nano_usd: string;
  /** Baseline minus actual; negative where routing cost more. */
  readonly savings_nano_usd: string;
}

export interface KindLine extends SavingsLine {
  readonly kind: LedgerKind;
}

/** Null names: the sum of those that are not listed apart. */
export interface ModelPairLine extends SavingsLine {
  readonly baseline_provider: string | null;
  readonly baseline_model: string | null;
  readonly served_provider: string | null;
  readonly served_model: string | null;
}

export interface ProjectLine extends SavingsLine {
  readonly project_id: string | null;
}

export interface Adjustment {
  readonly request_id: string;
  readonly attempt: number;
  readonly at: string;
  readonly savings_nano_usd: string;
}

/** Calls of the period that have no `routed` entry, by the first reason that holds; and those that have one. */
export interface CallCounts extends Readonly<Record<Exclusion, number>> {
  readonly routed: number;
  /** By Shunt, before any provider was asked. */
  readonly refused: number;
  /** Of the sandbox: in nothing above. */
  readonly synthetic: number;
}

export interface SavingsFigures {
  /** Of this shape: a reader asks for it before it reads on. */
  readonly version: 1;
  /** The savings that are claimed, without the calls that asked for `shunt/auto`. Each of the three lists adds up to it. */
  readonly total: SavingsLine;
  readonly by_kind: readonly KindLine[];
  readonly by_models: readonly ModelPairLine[];
  readonly by_project: readonly ProjectLine[];
  /**
   * Beside the total and in nothing above: calls that asked for `shunt/auto`, whose baseline is the project's default
   * model, not what anybody asked for.
   */
  readonly auto: SavingsLine;
  /** Entries of the sandbox: in nothing above unless `synthetic_included`. */
  readonly synthetic: SavingsLine;
  readonly synthetic_included: boolean;
  /** The newest ones; the sums have all of them. */
  readonly adjustments: readonly Adjustment[];
  readonly calls: CallCounts;
  readonly measured: MeasuredJson;
}

export interface SavingsReport {
  readonly period: ReportPeriod;
  readonly figures: SavingsFigures;
}
