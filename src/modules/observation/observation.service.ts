import {
  OBSERVATION_STEPS,
  dueAtMs,
  nextDueAtMs,
  refusalToExtend,
  type ExtensionRefusal,
  type ObservationStep,
} from '../../domain/observation/funnel.js';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import type { Database } from '../../platform/postgres/database.js';
import { auditWithin } from '../audit/audit-trail.js';
import { lockFunnel, readObservation, saveWindow, type StoredStep } from './observation.store.js';

export interface ObservationView {
  readonly startedAtMs: number;
  readonly endsAtMs: number;
  readonly steps: readonly {
    readonly step: ObservationStep;
    readonly dueAtMs: number;
    /** Null while it is to come. */
    readonly outcome: StoredStep['outcome'] | null;
    readonly atMs: number | null;
    readonly reportId: string | null;
  }[];
  /** What comes next; null where nothing does. */
  readonly next: { readonly step: ObservationStep; readonly dueAtMs: number } | null;
}

export type Extended =
  | { readonly kind: 'extended'; readonly endsAtMs: number }
  | { readonly kind: 'refused'; readonly code: ExtensionRefusal }
  /** No call has been forwarded yet: there is no window to move. */
  | { readonly kind: 'not_started' }
  | { readonly kind: 'not_found' };

/** The window of an organization's observation, as people see and move it. */
export class ObservationService {
  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
  ) {}

  /** Null before the first forwarded call was seen. */
  async find(orgId: string): Promise<ObservationView | null> {
    const found = await this.database.tenant(orgId, (q) => readObservation(q, orgId));
    if (found === null) return null;
    const { window, steps } = found;
    const listed = OBSERVATION_STEPS.map((step) => {
      const over = steps[step];
      return {
        step,
        dueAtMs: over?.dueAtMs ?? dueAtMs(step, window, steps),
        outcome: over?.outcome ?? null,
        atMs: over?.atMs ?? null,
        reportId: over?.reportId ?? null,
      };
    });
    const open = window.hasDecided ? [] : listed.filter(({ outcome }) => outcome === null);
    const [next] = open.toSorted((a, b) => a.dueAtMs - b.dueAtMs);
    return {
      startedAtMs: window.startedAtMs,
      endsAtMs: window.endsAtMs,
      steps: listed,
      next: next === undefined ? null : { step: next.step, dueAtMs: next.dueAtMs },
    };
  }

  /**
   * Moves the end of an open window, and with it the steps that are to come. What was sent is not sent again. Once the
   * observation has ended there is no way back: the table of transitions has none.
   */
  async extend(orgId: string, endsAtMs: number, actor: Actor, reason: string): Promise<Extended> {
    return this.database.tenant(orgId, async (q) => {
      if (!(await lockFunnel(q, orgId))) return { kind: 'not_found' };
      const found = await readObservation(q, orgId);
      if (found === null) return { kind: 'not_started' };
      const { window, status, steps } = found;
      const nowMs = this.clock.nowMs();
      const code = refusalToExtend(window, steps, status === 'observing', endsAtMs, nowMs);
      if (code !== null) return { kind: 'refused', code };
      const moved = { ...window, endsAtMs };
      await saveWindow(q, orgId, endsAtMs, nextDueAtMs(moved, steps));
      await auditWithin(q, orgId, {
        actor,
        action: 'observation.extended',
        atMs: nowMs,
        oldValue: new Date(window.endsAtMs).toISOString(),
        newValue: new Date(endsAtMs).toISOString(),
        reason,
      });
      return { kind: 'extended', endsAtMs };
    });
  }
}
