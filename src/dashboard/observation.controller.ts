import { Get, Inject } from '@nestjs/common';
import { ObservationService } from '../modules/observation/observation.service.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';

const iso = (atMs: number): string => new Date(atMs).toISOString();

/** Where an organization stands between its first call and its decision. */
@DashboardController('api/observation')
export class ObservationController {
  constructor(@Inject(ObservationService) private readonly observations: ObservationService) {}

  /** Before the first forwarded call there is no window, and no steps. */
  @Get()
  @Needs('reports.read')
  async read(@CurrentMember() { orgId }: Member) {
    const found = await this.observations.find(orgId);
    if (found === null) return { started_at: null, ends_at: null, steps: [], next: null };
    return {
      started_at: iso(found.startedAtMs),
      ends_at: iso(found.endsAtMs),
      steps: found.steps.map(({ step, dueAtMs, outcome, atMs, reportId }) => ({
        step,
        due_at: iso(dueAtMs),
        outcome,
        at: atMs === null ? null : iso(atMs),
        report_id: reportId,
      })),
      next: found.next && { step: found.next.step, due_at: iso(found.next.dueAtMs) },
    };
  }
}
