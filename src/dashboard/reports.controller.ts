import { Body, Get, HttpCode, Inject, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import { ReportService } from '../modules/observation/report.service.js';
import type { Report } from '../modules/observation/report.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';
import { SlowReads } from './slow-reads.js';

const NEW = z.strictObject({
  include_synthetic: z.boolean('takes true or false').default(false),
});

/** What calls cost, and what they would have cost. */
@DashboardController('api/reports')
export class ReportsController {
  readonly #sums = new SlowReads();

  constructor(@Inject(ReportService) private readonly reports: ReportService) {}

  /** Newest first, without what each says of single models and route classes. */
  @Get()
  @Needs('reports.read')
  async list(@CurrentMember() { orgId }: Member) {
    const reports = await this.reports.list(orgId);
    return { data: reports.map(summary) };
  }

  @Get(':id')
  @Needs('reports.read')
  async read(@CurrentMember() { orgId }: Member, @Param('id') id: string) {
    const report = await this.reports.find(orgId, id);
    if (report === null)
      throw new HttpError(404, 'unknown_report', 'There is no such report here.');
    return whole(report);
  }

  /** From the start of the observation until now; the sandbox's calls only where that is asked for. */
  @Post()
  @HttpCode(201)
  @Needs('reports.create')
  async create(@CurrentMember() { orgId, actor }: Member, @Body() body: unknown) {
    const { include_synthetic: includeSynthetic } = readBody(NEW, body);
    const created = await this.#sums.run(() => this.reports.create(orgId, actor, includeSynthetic));
    switch (created.kind) {
      case 'created':
        return whole(created.report);
      case 'too_soon':
        throw new HttpError(
          429,
          'report_too_soon',
          'A report reads every call of the period, so there is one a minute. The newest is at GET /api/reports.',
          created.retryAfterSeconds,
        );
      case 'not_found':
        throw new HttpError(404, 'unknown_organization', 'There is no such organization here.');
    }
  }
}

function summary({ id, kind, createdAtMs, period, figures, priceVersions }: Report) {
  const { models: _models, route_classes: _routeClasses, ...sums } = figures;
  return {
    id,
    kind,
    created_at: new Date(createdAtMs).toISOString(),
    period: {
      from: new Date(period.fromMs).toISOString(),
      to: new Date(period.toMs).toISOString(),
    },
    price_versions: priceVersions,
    figures: sums,
  };
}

function whole(report: Report) {
  return { ...summary(report), figures: report.figures };
}
