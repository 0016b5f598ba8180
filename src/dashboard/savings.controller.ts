import { Get, Inject, Query } from '@nestjs/common';
import { z } from 'zod';
import { SavingsReportService } from '../modules/reports/savings-report.service.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';
import { TIME, checkedPeriod } from './report-period.js';

const QUERY = z.strictObject({
  from: TIME.optional(),
  to: TIME.optional(),
  include_synthetic: z.enum(['true', 'false'], 'takes true or false').default('false'),
});

/** What routing saved, as anybody can recompute it from the ledger, and as the control group shows it. */
@DashboardController('api/savings')
export class SavingsController {
  constructor(@Inject(SavingsReportService) private readonly reports: SavingsReportService) {}

  /** Of the last 30 days, or from `from` until `to`. */
  @Get()
  @Needs('reports.read')
  async read(@CurrentMember() { orgId }: Member, @Query() query: unknown) {
    const given = readBody(QUERY, query);
    const period = checkedPeriod(given.from, given.to);
    const includeSynthetic = given.include_synthetic === 'true';
    const { figures } = await this.reports.report(orgId, { period, includeSynthetic });
    return {
      period: {
        from: new Date(period.fromMs).toISOString(),
        to: new Date(period.toMs).toISOString(),
      },
      figures,
    };
  }
}
