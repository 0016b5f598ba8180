import {
  Controller,
  Get,
  Inject,
  Param,
  Query,
  Req,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import type { CallRecord } from '../modules/records/call-record.js';
import { RECENT_MAX, RequestLog } from '../modules/records/request-log.js';
import { DatabaseAwayInterceptor } from './database-away.interceptor.js';
import { ProjectKeyGuard, refused, type ApplicationRequest } from './project-key.guard.js';

const DAY_MS = 24 * 60 * 60 * 1_000;
const RECENT_DEFAULT = 20;

/** What an application may know of its own calls: their records, and what they cost in all. Never content. */
@Controller('shunt/v1')
@UseGuards(ProjectKeyGuard)
@UseInterceptors(DatabaseAwayInterceptor)
export class RequestsController {
  constructor(@Inject(RequestLog) private readonly log: RequestLog) {}

  /** Newest first; `before` takes the last id of the page before. */
  @Get('requests')
  async recent(
    @Req() { principal }: ApplicationRequest,
    @Query('limit') limit?: string,
    @Query('before') before?: string,
  ): Promise<{ data: CallRecord[] }> {
    const count = limit === undefined ? RECENT_DEFAULT : Number(limit);
    if (!Number.isInteger(count) || count < 1 || count > RECENT_MAX) {
      throw refused(400, 'invalid_limit', `limit is a whole number from 1 to ${RECENT_MAX}.`);
    }
    return { data: await this.log.recent(principal.orgId, principal.projectId, count, before) };
  }

  @Get('requests/:id')
  async one(
    @Req() { principal }: ApplicationRequest,
    @Param('id') id: string,
  ): Promise<CallRecord> {
    const record = await this.log.find(principal.orgId, principal.projectId, id);
    if (record !== null) return record;
    throw refused(
      404,
      'unknown_request',
      'This project has no such request. Records arrive about a second after the call ends.',
    );
  }

  /** Sums in nano-USD over a period (`from`, `to`: ISO 8601; the last 30 days by default). */
  @Get('usage')
  async usage(
    @Req() { principal }: ApplicationRequest,
    @Query('from') from?: string,
    @Query('to') to?: string,
    @Query('include_synthetic') includeSynthetic?: string,
  ) {
    const toMs = to === undefined ? Date.now() : timeOf('to', to);
    const fromMs = from === undefined ? toMs - 30 * DAY_MS : timeOf('from', from);
    if (fromMs >= toMs) throw refused(400, 'invalid_period', 'from must be before to.');
    return {
      from: new Date(fromMs).toISOString(),
      to: new Date(toMs).toISOString(),
      ...(await this.log.totals(principal.orgId, {
        projectId: principal.projectId,
        fromMs,
        toMs,
        includeSynthetic: includeSynthetic === 'true',
      })),
    };
  }
}

/** What a database's timestamps hold, and no call is older or younger. */
const PERIOD_MS_MAX = Date.UTC(9999, 0);

function timeOf(name: string, text: string): number {
  const ms = Date.parse(text);
  if (ms >= 0 && ms <= PERIOD_MS_MAX) return ms;
  throw refused(
    400,
    'invalid_period',
    `${name} is a time in ISO 8601, such as 2026-11-20T00:00:00Z.`,
  );
}
