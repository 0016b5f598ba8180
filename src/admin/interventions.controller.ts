import { Body, HttpCode, Inject, Param, Patch, Post } from '@nestjs/common';
import type { Actor } from '../domain/subscription/actor.js';
import type { SubscriptionEvent } from '../domain/subscription/transitions.js';
import { ObservationService, type Extended } from '../modules/observation/observation.service.js';
import { OrganizationService } from '../modules/organizations/organization.service.js';
import { SubscriptionService } from '../modules/subscriptions/subscription.service.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { AdminController } from './admin.controller.js';
import { CurrentOperator } from './admin.guard.js';
import {
  LIMITS,
  OBSERVATION,
  organizationId,
  unknownOrganization,
  WITH_OPTIONAL_REASON,
  WITH_REASON,
} from './admin-input.js';
import { OrganizationOverview } from './organization-overview.js';
import { RefusedTransition } from './refused-transition.js';

interface Act {
  readonly event: SubscriptionEvent;
  readonly actor: Actor;
  readonly reason?: string | undefined;
}

/** What an operator may do to an organization: each is one call, and stands in its trail under the operator's name. */
@AdminController('organizations/:id')
export class InterventionsController {
  constructor(
    @Inject(SubscriptionService) private readonly subscriptions: SubscriptionService,
    @Inject(OrganizationService) private readonly organizations: OrganizationService,
    @Inject(ObservationService) private readonly observations: ObservationService,
    @Inject(OrganizationOverview) private readonly overview: OrganizationOverview,
  ) {}

  /** Stops routing, and holds it off until the hold is released. Calls pass through. */
  @Post('kill')
  @HttpCode(200)
  async kill(@Param('id') id: string, @Body() body: unknown, @CurrentOperator() actor: Actor) {
    return this.#apply(id, { event: 'kill', actor, ...readBody(WITH_REASON, body) });
  }

  /** Routing stays off; its owner may activate it again. */
  @Post('release-hold')
  @HttpCode(200)
  async releaseHold(
    @Param('id') id: string,
    @Body() body: unknown,
    @CurrentOperator() actor: Actor,
  ) {
    return this.#apply(id, {
      event: 'release_hold',
      actor,
      ...readBody(WITH_OPTIONAL_REASON, body),
    });
  }

  /** Blocks the organization's calls. */
  @Post('suspend')
  @HttpCode(200)
  async suspend(@Param('id') id: string, @Body() body: unknown, @CurrentOperator() actor: Actor) {
    return this.#apply(id, { event: 'suspend', actor, ...readBody(WITH_REASON, body) });
  }

  @Post('reinstate')
  @HttpCode(200)
  async reinstate(@Param('id') id: string, @Body() body: unknown, @CurrentOperator() actor: Actor) {
    return this.#apply(id, { event: 'reinstate', actor, ...readBody(WITH_REASON, body) });
  }

  @Patch('limits')
  async limits(@Param('id') id: string, @Body() body: unknown, @CurrentOperator() actor: Actor) {
    const { requests_per_minute: wanted } = readBody(LIMITS, body);
    const changed = await this.organizations.setRequestsPerMinute(
      organizationId(id),
      wanted,
      actor,
    );
    if (changed === null) throw unknownOrganization();
    return { id: changed.id, requests_per_minute: changed.requestsPerMinute };
  }

  /** Moves the end of an open window. */
  @Patch('observation')
  async observation(
    @Param('id') id: string,
    @Body() body: unknown,
    @CurrentOperator() actor: Actor,
  ) {
    const { ends_at: endsAt, reason } = readBody(OBSERVATION, body);
    const orgId = organizationId(id);
    const extended = await this.observations.extend(orgId, Date.parse(endsAt), actor, reason);
    return { id: orgId, ends_at: new Date(endOf(extended)) };
  }

  /** Where it was so already: the entry of the act that made it so. */
  async #apply(id: string, { event, actor, reason }: Act) {
    const orgId = organizationId(id);
    const act = { event, actor, ...(reason === undefined ? {} : { reason }) };
    const applied = await this.subscriptions.apply(orgId, act);
    switch (applied.kind) {
      case 'not_found':
        throw unknownOrganization();
      case 'refused':
        if (applied.code === 'not_permitted') {
          throw new HttpError(403, applied.code, 'An operator may not do that.');
        }
        throw new RefusedTransition(event, applied.code, applied.status);
      case 'unchanged': {
        const last = await this.overview.lastAct(orgId, `subscription.${event}`);
        const { status, hold } = applied;
        return {
          id: orgId,
          changed: false,
          status,
          hold,
          audit_seq: last?.seq ?? null,
          at: last?.at ?? null,
        };
      }
      case 'changed': {
        const { change, auditSeq } = applied;
        const at = new Date(change.atMs);
        return {
          id: orgId,
          changed: true,
          status: change.to,
          hold: change.hold,
          audit_seq: auditSeq,
          at,
        };
      }
    }
  }
}

const WHY_NOT_EXTENDED: Readonly<Record<Extract<Extended, { kind: 'refused' }>['code'], string>> = {
  not_observing: 'The organization is not observing.',
  already_decided: 'The organization has decided already: nothing more is sent or closed.',
  observation_over: 'The observation is over; it cannot be opened again.',
  ends_in_the_past: 'ends_at must lie in the future.',
  ends_too_late: 'ends_at lies too far ahead.',
};

function endOf(extended: Extended): number {
  switch (extended.kind) {
    case 'extended':
      return extended.endsAtMs;
    case 'not_found':
      throw unknownOrganization();
    case 'not_started':
      throw new HttpError(
        409,
        'observation_not_started',
        'No call was forwarded yet: the observation starts with the first one.',
      );
    case 'refused':
      throw new HttpError(409, extended.code, WHY_NOT_EXTENDED[extended.code]);
  }
}
