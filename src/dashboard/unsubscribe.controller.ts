import { Get, HttpCode, Inject, Post, Query, Res, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyReply } from 'fastify';
import { ReminderSubscription } from '../modules/mail/reminder-subscription.js';
import { ExemptFromCsrf, OpenToAll } from './access.js';
import { DashboardController } from './dashboard.controller.js';

const FORM_BYTES_MAX = 4_096;
const MULTIPART = 'multipart/form-data';

/**
 * Where the link in a reminder leads. The token in it is the whole credential: mail programs post here by
 * themselves (RFC 8058), without a session, a cookie or a page of ours, hence no check of the origin. All that
 * anybody can do here is to end their own reminders. A GET changes nothing: mail scanners follow links.
 */
@DashboardController('api/unsubscribe')
export class UnsubscribeController implements OnModuleInit {
  constructor(
    @Inject(ReminderSubscription) private readonly reminders: ReminderSubscription,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost<FastifyAdapter>,
  ) {}

  /** RFC 8058 lets mail programs post a multipart form too. What is in it does not matter: it is read and dropped. */
  onModuleInit(): void {
    const fastify = this.host.httpAdapter.getInstance();
    if (fastify.hasContentTypeParser(MULTIPART)) return;
    const options = { parseAs: 'buffer', bodyLimit: FORM_BYTES_MAX } as const;
    fastify.addContentTypeParser(MULTIPART, options, (_request, _body, done) => done(null, {}));
  }

  @Get()
  @OpenToAll()
  ask(@Query('token') token: unknown, @Res() reply: FastifyReply): void {
    if (typeof token === 'string' && this.reminders.isGenuine(token)) sendPage(reply, 200, ASK);
    else sendPage(reply, 404, UNKNOWN);
  }

  @Post()
  @HttpCode(200)
  @OpenToAll()
  @ExemptFromCsrf()
  async unsubscribe(@Query('token') token: unknown, @Res() reply: FastifyReply): Promise<void> {
    const done = typeof token === 'string' && (await this.reminders.unsubscribe(token));
    sendPage(reply, done ? 200 : 404, done ? DONE : UNKNOWN);
  }
}

/** The form goes to the address of the page itself, token and all, so nothing of the request is written into it. */
const ASK = page(
  'Stop the reminders?',
  '<p>You will get no more reports and reminders about the observation of this organization. ' +
    'What its owners must know, such as a changed status, is still mailed.</p>' +
    '<form method="post"><button type="submit">Stop the reminders</button></form>',
);
const DONE = page('The reminders have stopped', '<p>You will get no more of them.</p>');
const UNKNOWN = page('This link does not work', '<p>It is incomplete, or was not made here.</p>');

function page(title: string, body: string): string {
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">' +
    '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">' +
    `<title>${title} - Shunt</title></head><body><main><h1>${title}</h1>${body}</main></body></html>\n`
  );
}

function sendPage(reply: FastifyReply, status: number, html: string): void {
  void reply
    .status(status)
    .header('content-type', 'text/html; charset=utf-8')
    .header('cache-control', 'no-store')
    .send(html);
}
