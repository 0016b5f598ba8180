import { Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import type { Actor } from '../domain/subscription/actor.js';
import { INSTALLATION_ID } from '../modules/audit/audit-entry.js';
import { OutboxService, type OutboxItem } from '../modules/mail/outbox.service.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { AdminController } from './admin.controller.js';
import { CurrentOperator } from './admin.guard.js';

const PAGE_MAX = 200;
const LIST = z
  .strictObject({
    organization_id: z.uuid().optional(),
    state: z
      .enum(['pending', 'sending', 'sent', 'unconfirmed', 'failed', 'undeliverable', 'skipped'])
      .optional(),
    limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(50),
    before_id: z.uuid().optional(),
    before_created_at: z.iso.datetime({ offset: true }).optional(),
  })
  .refine((query) => (query.before_id === undefined) === (query.before_created_at === undefined), {
    path: ['before_id'],
    message: 'goes together with before_created_at: both of the last item of the page before.',
  });

const ONE = z.strictObject({ org: z.uuid().toLowerCase(), id: z.uuid().toLowerCase() });

/** What became of outgoing mail: states, never an address, a link or figures. */
@AdminController('mail')
export class MailController {
  constructor(@Inject(OutboxService) private readonly outbox: OutboxService) {}

  /** Of one organization; of none (forgotten passwords, ...) where none is named. Newest first. */
  @Get()
  async list(@Query() given: unknown) {
    const query = readBody(LIST, given);
    const { before_id: id, before_created_at: createdAt } = query;
    const items = await this.outbox.list(query.organization_id ?? INSTALLATION_ID, {
      limit: query.limit,
      ...(query.state === undefined ? {} : { state: query.state }),
      ...(id === undefined || createdAt === undefined
        ? {}
        : { before: { id, createdAt: new Date(createdAt) } }),
    });
    return { data: items.map(told) };
  }

  /** Once more, where it did not arrive or may not have: only a person can take that risk. */
  @Post(':org/:id/resend')
  @HttpCode(200)
  async resend(@CurrentOperator() actor: Actor, @Param() given: unknown) {
    const { org, id } = readBody(ONE, given);
    const resent = await this.outbox.resend(org, id, actor);
    switch (resent.kind) {
      case 'queued':
        return { id, state: 'pending' };
      case 'not_found':
        throw unknownMail();
      case 'not_in_this_state':
        throw new HttpError(409, 'not_in_this_state', `The mail is "${resent.state}".`);
      case 'nothing_to_send':
        throw new HttpError(
          409,
          'nothing_to_send',
          'Its address or link has expired: let the person ask anew.',
        );
    }
  }

  /** While mail is off: the link of a mail that waits, to be handed to the person. It is audited. */
  @Post(':org/:id/link')
  @HttpCode(200)
  async link(@CurrentOperator() actor: Actor, @Param() given: unknown) {
    const { org, id } = readBody(ONE, given);
    const opened = await this.outbox.openLink(org, id, actor);
    switch (opened.kind) {
      case 'link':
        return { path: opened.path, url: opened.url };
      case 'mail_is_on':
        throw new HttpError(409, 'mail_is_on', 'Mail is sent: the link is in it, and in it alone.');
      case 'not_found':
        throw unknownMail();
      case 'no_link':
        throw new HttpError(409, 'no_link', 'This mail opens nothing.');
    }
  }
}

function unknownMail(): HttpError {
  return new HttpError(404, 'unknown_mail', 'There is no such mail.');
}

function told(item: OutboxItem) {
  return {
    id: item.id,
    kind: item.kind,
    state: item.state,
    attempts: item.attempts,
    last_error: item.lastError,
    recipient_user_id: item.recipientUserId,
    created_at: item.createdAt,
    next_attempt_at: item.nextAttemptAt,
    sent_at: item.sentAt,
    has_link: item.hasLink,
  };
}
