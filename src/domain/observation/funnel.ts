/** What happens to an organization between its first call and its decision; each once, in this order. */
export const OBSERVATION_STEPS = [
  'interim_report',
  'reminder_three_days',
  'reminder_one_day',
  'conversion_report',
  'close_window',
  'reminder_after_end',
] as const;
export type ObservationStep = (typeof OBSERVATION_STEPS)[number];

const DAY_MS = 24 * 60 * 60 * 1000;
export const OBSERVATION_DAYS = 14;
const INTERIM_REPORT_DAY = 7;
const AFTER_END_DAYS = 3;
/** The reminder after the end speaks of a few days ago; later than this it would not be true any more. */
const AFTER_END_STALE_DAYS = 4;

export interface ObservationWindow {
  readonly startedAtMs: number;
  readonly endsAtMs: number;
  /** It has enabled routing once: it decided, and is told nothing more, whatever its status became since. */
  readonly hasDecided: boolean;
}

export interface StepRecord {
  readonly outcome: 'done' | 'skipped';
  readonly atMs: number;
}

/** Which steps are over, and how they ended. */
export type StepRecords = Readonly<Partial<Record<ObservationStep, StepRecord>>>;

/** `skip`: what it would say is no longer so; it is marked, and never comes. */
export type StepVerdict =
  | { readonly kind: 'run' }
  | { readonly kind: 'skip'; readonly reason: SkipReason }
  | { readonly kind: 'wait'; readonly untilMs: number };
export type SkipReason = 'superseded' | 'decided';

/** The window of a first call at that time. */
export function windowFrom(startedAtMs: number): ObservationWindow {
  return {
    startedAtMs,
    endsAtMs: startedAtMs + OBSERVATION_DAYS * DAY_MS,
    hasDecided: false,
  };
}

/**
 * When a step is due (epoch, milliseconds). The reminder after the end follows the conversion report, so that one
 * which comes late is not followed by its own reminder at once.
 */
export function dueAtMs(
  step: ObservationStep,
  { startedAtMs, endsAtMs }: Pick<ObservationWindow, 'startedAtMs' | 'endsAtMs'>,
  done: StepRecords = {},
): number {
  switch (step) {
    case 'interim_report':
      return startedAtMs + INTERIM_REPORT_DAY * DAY_MS;
    case 'reminder_three_days':
      return endsAtMs - 3 * DAY_MS;
    case 'reminder_one_day':
      return endsAtMs - DAY_MS;
    case 'conversion_report':
    case 'close_window':
      return endsAtMs;
    case 'reminder_after_end':
      return Math.max(endsAtMs, done.conversion_report?.atMs ?? 0) + AFTER_END_DAYS * DAY_MS;
  }
}

/**
 * Decides, for each step that is not over, whether it runs, waits or never comes. The two that matter, the
 * conversion report and the close, are late at worst; a report or reminder before them gives way to the one after it,
 * so that nobody who was away for days (nor the product that was) gets stale mail, or two mails at once.
 */
export function dueSteps(
  window: ObservationWindow,
  done: StepRecords,
  nowMs: number,
): ReadonlyMap<ObservationStep, StepVerdict> {
  const open = OBSERVATION_STEPS.filter((step) => done[step] === undefined);
  return new Map(open.map((step) => [step, verdictOf(step, window, done, nowMs)]));
}

function verdictOf(
  step: ObservationStep,
  window: ObservationWindow,
  done: StepRecords,
  nowMs: number,
): StepVerdict {
  if (window.hasDecided) return { kind: 'skip', reason: 'decided' };
  const due = dueAtMs(step, window, done);
  if (nowMs >= staleAtMs(step, window, due)) return { kind: 'skip', reason: 'superseded' };
  return nowMs >= due ? { kind: 'run' } : { kind: 'wait', untilMs: due };
}

/** From when on something later says more: the next reminder, the end, or nothing. */
export function staleAtMs(
  step: ObservationStep,
  window: Pick<ObservationWindow, 'startedAtMs' | 'endsAtMs'>,
  dueMs: number,
): number {
  switch (step) {
    case 'interim_report':
      return dueAtMs('reminder_three_days', window);
    case 'reminder_three_days':
      return dueAtMs('reminder_one_day', window);
    case 'reminder_one_day':
      return window.endsAtMs;
    case 'conversion_report':
    case 'close_window':
      return Number.POSITIVE_INFINITY;
    case 'reminder_after_end':
      return dueMs + AFTER_END_STALE_DAYS * DAY_MS;
  }
}

/** When there is something to do next (it may be in the past); null where every step is over. */
export function nextDueAtMs(window: ObservationWindow, done: StepRecords): number | null {
  const open = OBSERVATION_STEPS.filter((step) => done[step] === undefined);
  if (open.length === 0) return null;
  return Math.min(...open.map((step) => dueAtMs(step, window, done)));
}

export const EXTENSION_DAYS_MAX = 90;

export type ExtensionRefusal =
  'not_observing' | 'already_decided' | 'observation_over' | 'ends_in_the_past' | 'ends_too_late';

/**
 * Whether an open window may end at another time: any from now on, up to 90 days ahead. One whose conversion report
 * went out is over: the table of transitions knows no way back from there.
 */
export function refusalToExtend(
  window: ObservationWindow,
  done: StepRecords,
  isObserving: boolean,
  endsAtMs: number,
  nowMs: number,
): ExtensionRefusal | null {
  if (window.hasDecided) return 'already_decided';
  if (done.conversion_report !== undefined || done.close_window !== undefined) {
    return 'observation_over';
  }
  if (!isObserving) return 'not_observing';
  if (endsAtMs <= nowMs) return 'ends_in_the_past';
  return endsAtMs > nowMs + EXTENSION_DAYS_MAX * DAY_MS ? 'ends_too_late' : null;
}
