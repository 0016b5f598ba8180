import { Body, Get, HttpCode, Inject, Post, Query } from '@nestjs/common';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { CHECK_DAYS_MAX, InvoiceCheckService } from '../modules/invoices/invoice-check.service.js';
import {
  FILE_BYTES_MAX,
  InvoiceImportService,
  type Imported,
} from '../modules/invoices/invoice-import.service.js';
import { isDay } from '../modules/reports/report-period.js';
import { systemClock } from '../platform/clock.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';

const PATH = '/api/invoices';
const UPLOAD_MS_MAX = 120_000;
const DAYS_DEFAULT = 30;
const DAY_MS = 24 * 60 * 60 * 1_000;
const KEY_CHARS_MAX = 200;

const provider = z.enum(['openai', 'anthropic'], 'takes openai or anthropic');
const day = z
  .string('takes a day such as 2026-11-01')
  .regex(/^20/, 'takes a day such as 2026-11-01')
  .refine(isDay, 'takes a day such as 2026-11-01');
const IMPORT = z.strictObject({
  provider,
  own_key: z.string().min(1).max(KEY_CHARS_MAX).optional(),
});
const CHECK = z.strictObject({ provider, from: day.optional(), to: day.optional() });

/** What providers charged, held against what was recorded. */
@DashboardController('api/invoices')
export class InvoicesController {
  constructor(
    @Inject(InvoiceImportService) private readonly imports: InvoiceImportService,
    @Inject(InvoiceCheckService) private readonly checks: InvoiceCheckService,
  ) {}

  @Get()
  @Needs('reports.read')
  async list(@CurrentMember() { orgId }: Member) {
    return { data: await this.imports.list(orgId) };
  }

  /** The body is the provider's file, as `text/csv`. */
  @Post()
  @HttpCode(201)
  @Needs('reports.create')
  async import(
    @CurrentMember() { orgId, actor }: Member,
    @Query() query: unknown,
    @Body() body: unknown,
  ) {
    const { provider: of, own_key: ownKey } = readBody(IMPORT, query);
    if (!(body instanceof Readable)) {
      throw new HttpError(415, 'unsupported_media_type', 'Send the file itself, as text/csv.');
    }
    const late = setTimeout(() => body.destroy(), UPLOAD_MS_MAX).unref();
    try {
      const options = { provider: of, ownKey: ownKey ?? null };
      return importedOrThrow(await this.imports.import(orgId, options, body, actor));
    } finally {
      clearTimeout(late);
    }
  }

  /** By day (UTC) and model, both days included; the last 30 days by default. */
  @Get('check')
  @Needs('reports.read')
  async check(@CurrentMember() { orgId }: Member, @Query() query: unknown) {
    const given = readBody(CHECK, query);
    const toDay = given.to ?? dayOf(systemClock.nowMs());
    const fromDay = given.from ?? dayOf(Date.parse(toDay) - (DAYS_DEFAULT - 1) * DAY_MS);
    const days = (Date.parse(toDay) - Date.parse(fromDay)) / DAY_MS + 1;
    if (days < 1 || days > CHECK_DAYS_MAX) {
      throw new HttpError(
        400,
        'invalid_request',
        `to: from 1 to ${CHECK_DAYS_MAX} days from from.`,
      );
    }
    return this.checks.check(orgId, { provider: given.provider, fromDay, toDay });
  }
}

/**
 * Files come as they are sent, in no memory of ours. On this one path: anywhere else a body of this kind stays what it
 * was, something that nobody reads.
 */
export function acceptInvoiceFiles(server: FastifyInstance): void {
  server.addContentTypeParser('text/csv', (request: FastifyRequest, payload, done) => {
    if (request.routeOptions.url === PATH) return done(null, payload);
    const refused: Error & { statusCode?: number } = new Error('Unsupported Media Type');
    refused.statusCode = 415;
    done(refused);
  });
}

function importedOrThrow(imported: Imported) {
  switch (imported.kind) {
    case 'imported':
      return { ...imported.import, known: false };
    case 'known':
      return { ...imported.import, known: true };
    case 'unreadable':
      throw new HttpError(400, 'unreadable_invoice', imported.message);
    case 'too_large':
      throw new HttpError(
        413,
        'body_too_large',
        `The file is larger than ${FILE_BYTES_MAX} bytes.`,
      );
    case 'too_many':
      throw new HttpError(409, 'too_many_imports', 'There are as many imports as there can be.');
  }
}

function dayOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}
