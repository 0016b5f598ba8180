import { Body, Delete, HttpCode, Inject, Post } from '@nestjs/common';
import { z } from 'zod';
import type { RefusalCode } from '../domain/subscription/transition.js';
import type { SubscriptionEvent } from '../domain/subscription/transitions.js';
import { ActivationService, REPORT_FRESH_DAYS } from '../modules/observation/activation.service.js';
import {
  SubscriptionService,
  type Applied,
} from '../modules/subscriptions/subscription.service.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';

const ID_CHARS_MAX = 100;
const ACTIVATION = z.strictObject({
  confirm: z.unknown().optional(),
  report_id: z.string('is the id of the report that was reviewed').max(ID_CHARS_MAX).optional(),
});

/** What a person does about routing: enable it, disable it, leave. Everything else about a status is done elsewhere. */
@DashboardController('api')
export class ActivationController {
  constructor(
    @Inject(ActivationService) private readonly activations: ActivationService,
    @Inject(SubscriptionService) private readonly subscriptions: SubscriptionService,
  ) {}

  @Post('activation')
  @HttpCode(200)
  @Needs('routing.activate', { confirmedAddress: true })
  async activate(@CurrentMember() { orgId, actor }: Member, @Body() body: unknown) {
    const { confirm, report_id: reportId } = readBody(ACTIVATION, body);
    if (confirm !== true) {
      throw new HttpError(
        400,
        'confirmation_required',
        'Routing changes which models answer. Send "confirm": true once you have reviewed the report.',
      );
    }
    if (reportId === undefined) {
      throw new HttpError(
        400,
        'invalid_request',
        'report_id is the id of the report that was reviewed.',
      );
    }
    const activated = await this.activations.activate(orgId, reportId, actor);
    switch (activated.kind) {
      case 'unknown_report':
        throw new HttpError(404, 'unknown_report', 'There is no such report here.');
      case 'report_stale':
        throw new HttpError(
          409,
          'report_stale',
          `This report is not the newest, is older than ${REPORT_FRESH_DAYS} days, or was made before routing was ` +
            'last enabled or stopped by an operator. Make a new one (POST /api/reports), review it and try again.',
        );
      default:
        return statusAfter(activated);
    }
  }

  /** Back to observing: calls pass through from then on. */
  @Delete('activation')
  @Needs('routing.deactivate')
  async deactivate(@CurrentMember() member: Member) {
    return this.#apply(member, 'deactivate');
  }

  @Post('subscription/cancel')
  @HttpCode(200)
  @Needs('subscription.cancel')
  async cancel(@CurrentMember() member: Member) {
    return this.#apply(member, 'cancel');
  }

  async #apply({ orgId, actor }: Member, event: SubscriptionEvent) {
    return statusAfter(await this.subscriptions.apply(orgId, { event, actor }));
  }
}

function statusAfter(applied: Applied) {
  switch (applied.kind) {
    case 'changed':
      return { status: applied.change.to, hold: applied.change.hold };
    case 'unchanged':
      return { status: applied.status, hold: applied.hold };
    case 'not_found':
      throw new HttpError(404, 'unknown_organization', 'There is no such organization here.');
    case 'refused':
      throw refusal(applied.code);
  }
}

function refusal(code: RefusalCode): HttpError {
  switch (code) {
    case 'not_permitted':
      return new HttpError(403, 'not_permitted', 'Your role does not allow this.');
    case 'not_in_this_status':
      return new HttpError(
        409,
        'not_in_this_status',
        'The subscription is in a status from which this does not lead anywhere.',
      );
    case 'operator_hold':
      return new HttpError(
        409,
        'operator_hold',
        'An operator has stopped routing for this organization. It can be enabled again once the hold is released.',
      );
    case 'payment_required':
      return new HttpError(
        402,
        'payment_required',
        'Routing needs a paid subscription. Open a checkout first (POST /api/billing/checkout).',
      );
  }
}
