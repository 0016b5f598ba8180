import { Get, Inject, Param, Query } from '@nestjs/common';
import { z } from 'zod';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { SUBSCRIPTION_STATUSES } from '../domain/subscription/status.js';
import { AuditTrail } from '../modules/audit/audit-trail.js';
import { BillingAccountService } from '../modules/billing/billing-account.service.js';
import { ObservationService } from '../modules/observation/observation.service.js';
import { systemClock } from '../platform/clock.js';
import { readBody } from '../platform/http/read-body.js';
import { AdminController } from './admin.controller.js';
import { organizationId, PAGE_OF_TRAIL, unknownOrganization } from './admin-input.js';
import { entryOf } from './audit-line.js';
import { OrganizationOverview, PAGE_MAX } from './organization-overview.js';

const PAGE_DEFAULT = 50;

const LIST = z.strictObject({
  search: z.string().max(200).default(''),
  status: z.enum(SUBSCRIPTION_STATUSES).optional(),
  hold: z.enum(['true', 'false']).optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(PAGE_DEFAULT),
  after: z.uuid().optional(),
});

/** Organizations, as operators see them. */
@AdminController('organizations')
export class OrganizationsController {
  constructor(
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    @Inject(OrganizationOverview) private readonly overview: OrganizationOverview,
    @Inject(AuditTrail) private readonly trail: AuditTrail,
    @Inject(BillingAccountService) private readonly billing: BillingAccountService,
    @Inject(ObservationService) private readonly observations: ObservationService,
  ) {}

  /** Newest first. `after` takes the last id of the page before. */
  @Get()
  async list(@Query() given: unknown) {
    const query = readBody(LIST, given);
    const { lines, hasMore } = await this.overview.list({
      search: query.search,
      status: query.status ?? null,
      held: query.hold === undefined ? null : query.hold === 'true',
      limit: query.limit,
      after: query.after ?? null,
    });
    return { data: lines, has_more: hasMore };
  }

  @Get(':id')
  async one(@Param('id') id: string) {
    const orgId = organizationId(id);
    const line = await this.overview.find(orgId);
    if (line === null) throw unknownOrganization();
    const [observation, payment, report, traffic] = await Promise.all([
      this.#observation(orgId),
      this.#payment(orgId),
      this.overview.newestReport(orgId),
      this.overview.traffic(orgId, systemClock),
    ]);
    return {
      ...line,
      limits: {
        requests_per_minute: line.requests_per_minute ?? this.config.defaultRequestsPerMinute,
        is_default: line.requests_per_minute === null,
      },
      observation,
      payment,
      newest_report: report,
      traffic,
    };
  }

  /** Newest first. `before` takes the smallest `seq` of the page before. */
  @Get(':id/audit')
  async audit(@Param('id') id: string, @Query() given: unknown) {
    const orgId = organizationId(id);
    const page = readBody(PAGE_OF_TRAIL, given);
    if ((await this.overview.find(orgId)) === null) throw unknownOrganization();
    return { data: (await this.trail.list(orgId, page)).map(entryOf) };
  }
  /** Null before the first forwarded call. */
  async #observation(orgId: string) {
    const found = await this.observations.find(orgId);
    if (found === null) return null;
    return {
      started_at: new Date(found.startedAtMs),
      ends_at: new Date(found.endsAtMs),
      next: found.next && { step: found.next.step, due_at: new Date(found.next.dueAtMs) },
    };
  }

  async #payment(orgId: string) {
    if (!this.billing.isOn) return { billing: 'off' };
    const { standing, subscription, limits } = await this.billing.overview(orgId);
    return {
      billing: 'on',
      standing,
      subscription_status: subscription?.status ?? null,
      plan: subscription?.figures.plan ?? null,
      exceeded_limits: limits.filter(({ exceeded }) => exceeded).map(({ limit }) => limit),
    };
  }
}
