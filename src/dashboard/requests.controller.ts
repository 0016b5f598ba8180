import { Get, Inject, Param, Query } from '@nestjs/common';
import { z } from 'zod';
import { ProjectService } from '../modules/projects/project.service.js';
import type { CallRecord } from '../modules/records/call-record.js';
import { RECENT_MAX, RequestLog, type CallTotals } from '../modules/records/request-log.js';
import { systemClock } from '../platform/clock.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';
import { FIELDS } from './resource-fields.js';
import { idOf, unknown } from './resource-id.js';
import { SlowReads } from './slow-reads.js';

const DAY_MS = 24 * 60 * 60 * 1_000;
const USAGE_DAYS_DEFAULT = 30;
const RECENT_DEFAULT = 20;
const TIME_CHARS_MAX = 40;
/** What a database's timestamps hold, and no call is older or younger. */
const TIME_MS_MAX = Date.UTC(9999, 0);

const time = z
  .string()
  .max(TIME_CHARS_MAX)
  .transform((text) => Date.parse(text))
  .refine(
    (ms) => ms >= 0 && ms <= TIME_MS_MAX,
    'takes a time in ISO 8601, such as 2026-11-20T00:00:00Z',
  );
const LIST = z.strictObject({
  project_id: FIELDS.id.optional(),
  limit: z
    .string()
    .regex(/^\d{1,3}$/, `takes a whole number from 1 to ${RECENT_MAX}`)
    .transform(Number)
    .refine(
      (limit) => limit >= 1 && limit <= RECENT_MAX,
      `takes a whole number from 1 to ${RECENT_MAX}`,
    )
    .default(RECENT_DEFAULT),
  before: FIELDS.id.optional(),
});
const PERIOD = z.strictObject({
  project_id: FIELDS.id.optional(),
  from: time.optional(),
  to: time.optional(),
  include_synthetic: z.enum(['true', 'false'], 'takes true or false').default('false'),
});

/** What the calls of the organization were, and what they cost in all. Never content. */
@DashboardController('api')
export class RequestsController {
  readonly #sums = new SlowReads();

  constructor(
    @Inject(RequestLog) private readonly log: RequestLog,
    @Inject(ProjectService) private readonly projects: ProjectService,
  ) {}

  /** Newest first; `before` takes the last id of the page before. */
  @Get('requests')
  @Needs('requests.read')
  async recent(
    @CurrentMember() { orgId }: Member,
    @Query() query: unknown,
  ): Promise<{ data: CallRecord[] }> {
    const { project_id: wanted, limit, before } = readBody(LIST, query);
    const projectId = await this.#projectOf(orgId, wanted);
    return { data: await this.log.recent(orgId, projectId ?? null, limit, before) };
  }

  @Get('requests/:id')
  @Needs('requests.read')
  async one(@CurrentMember() { orgId }: Member, @Param('id') id: string): Promise<CallRecord> {
    const record = await this.log.find(orgId, null, idOf('request', id));
    if (!record) throw unknown('request');
    return record;
  }

  /** Sums in nano-USD over a period (`from`, `to`; the last 30 days by default). */
  @Get('usage')
  @Needs('requests.read')
  async usage(@CurrentMember() { orgId }: Member, @Query() query: unknown) {
    const given = readBody(PERIOD, query);
    const toMs = given.to ?? systemClock.nowMs();
    const fromMs = given.from ?? toMs - USAGE_DAYS_DEFAULT * DAY_MS;
    if (fromMs >= toMs) throw new HttpError(400, 'invalid_request', 'from: must be before to.');
    const projectId = await this.#projectOf(orgId, given.project_id);
    const includeSynthetic = given.include_synthetic === 'true';
    const wanted = { projectId, fromMs, toMs, includeSynthetic };
    const totals = await this.#sums.run(() => this.log.totals(orgId, wanted));
    return {
      from: new Date(fromMs).toISOString(),
      to: new Date(toMs).toISOString(),
      ...totalsJson(totals),
      synthetic: totals.synthetic,
      models: totals.models.map((totalsOfModel) => ({
        provider: totalsOfModel.provider,
        model: totalsOfModel.model,
        ...totalsJson(totalsOfModel),
      })),
    };
  }

  async #projectOf(orgId: string, wanted: string | undefined): Promise<string | undefined> {
    if (wanted === undefined) return undefined;
    const projectId = idOf('project', wanted);
    if (await this.projects.find(orgId, projectId)) return projectId;
    throw unknown('project');
  }
}

function totalsJson(totals: CallTotals) {
  return {
    calls: totals.calls,
    priced: totals.priced,
    unmetered: totals.unmetered,
    unpriceable: totals.unpriceable,
    estimated: totals.estimated,
    interrupted: totals.interrupted,
    cost_nano_usd: totals.costNanoUsd,
    estimated_cost_nano_usd: totals.estimatedCostNanoUsd,
    baseline_cost_nano_usd: totals.baselineCostNanoUsd,
    projected_cost_nano_usd: totals.projectedCostNanoUsd,
  };
}
