import { Get, Header, HttpCode, Inject, Post, Query, StreamableFile } from '@nestjs/common';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { LedgerExport } from '../modules/ledger/ledger-csv.js';
import { CsvDownloads, type Download } from '../modules/reports/csv-downloads.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';
import { TIME, checkedPeriod } from './report-period.js';

const RETRY_SECONDS = 60;
const QUERY = z.strictObject({ from: TIME, to: TIME });

/** Requests, the audit trail and the ledger for spreadsheets. Each download leaves an entry in the trail. */
@DashboardController('api/exports')
export class ExportsController {
  constructor(
    @Inject(CsvDownloads) private readonly downloads: CsvDownloads,
    @Inject(LedgerExport) private readonly ledger: LedgerExport,
  ) {}

  /**
   * The whole ledger with its seals: the file that scripts/verify-ledger checks without anything else. A POST, because
   * it leaves an entry in the trail and needs nothing else to be given.
   */
  @Post('ledger.csv')
  @HttpCode(200)
  @Header('content-disposition', 'attachment; filename="shunt-ledger.csv"')
  @Needs('reports.read')
  async savingsLedger(@CurrentMember() { orgId, actor }: Member) {
    return streamed(await this.ledger.open(orgId, actor));
  }

  /** Oldest first, from `from` until `to`, which have to be given. */
  @Get('requests.csv')
  @Header('content-disposition', 'attachment; filename="shunt-requests.csv"')
  @Needs('requests.read')
  async requests(@CurrentMember() member: Member, @Query() query: unknown) {
    return this.#open('requests', member, query);
  }

  @Get('audit.csv')
  @Header('content-disposition', 'attachment; filename="shunt-audit.csv"')
  @Needs('audit.read')
  async audit(@CurrentMember() member: Member, @Query() query: unknown) {
    return this.#open('audit', member, query);
  }

  async #open(download: Download, { orgId, actor }: Member, query: unknown) {
    const { from, to } = readBody(QUERY, query);
    return streamed(await this.downloads.open(orgId, download, checkedPeriod(from, to), actor));
  }
}

function streamed(stream: Readable | null): StreamableFile {
  if (stream !== null) return new StreamableFile(stream, { type: 'text/csv; charset=utf-8' });
  throw new HttpError(
    429,
    'export_running',
    'Others are downloading. Try again in a minute.',
    RETRY_SECONDS,
  );
}
