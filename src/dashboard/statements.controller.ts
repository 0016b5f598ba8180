import { Body, Get, HttpCode, Inject, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import {
  StatementService,
  type Statement,
  type StatementSummary,
} from '../modules/reports/statement.service.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';

const NEW = z.strictObject({
  month: z.string('takes a month such as 2026-11').max(10, 'takes a month such as 2026-11'),
});

/** Signed monthly statements, for whoever checks them without this installation. */
@DashboardController('api/statements')
export class StatementsController {
  constructor(@Inject(StatementService) private readonly statements: StatementService) {}

  /** Newest first, without their texts. */
  @Get()
  @Needs('reports.read')
  async list(@CurrentMember() { orgId }: Member) {
    return { data: (await this.statements.list(orgId)).map(summary) };
  }

  /** `text` is what was signed, to the byte. */
  @Get(':id')
  @Needs('reports.read')
  async read(@CurrentMember() { orgId }: Member, @Param('id') id: string) {
    const statement = await this.statements.find(orgId, id);
    if (statement !== null) return whole(statement);
    throw new HttpError(404, 'unknown_statement', 'There is no such statement here.');
  }

  @Post()
  @HttpCode(201)
  @Needs('reports.create')
  async create(@CurrentMember() { orgId, actor }: Member, @Body() body: unknown) {
    const { month } = readBody(NEW, body);
    const created = await this.statements.create(orgId, month, actor);
    switch (created.kind) {
      case 'created':
        return whole(created.statement);
      case 'invalid_month':
        throw new HttpError(400, 'invalid_request', 'month: takes a month such as 2026-11');
      case 'month_not_over':
        throw new HttpError(
          409,
          'month_not_over',
          `A statement is of a whole month (UTC) and its last calls: it can be made from ${created.from} on. Until then GET /api/savings has the figures.`,
        );
      case 'not_sealed':
        throw new HttpError(
          409,
          'ledger_not_sealed',
          'Entries of the month still wait for their seal, which comes once a minute. Try again in a minute; where that does not help, npm run shunt -- verify-ledger says what is wrong.',
          created.retryAfterSeconds,
        );
      case 'too_soon':
        throw new HttpError(
          429,
          'statement_too_soon',
          'A statement reads every call of its month, so there is one a minute.',
          created.retryAfterSeconds,
        );
      case 'too_many':
        throw new HttpError(409, 'too_many_statements', 'The month has as many as there can be.');
    }
  }
}

function summary({ id, month, number, createdAt }: StatementSummary) {
  return { id, month, number, created_at: createdAt };
}

function whole(statement: Statement) {
  const { text, signature, publicKey } = statement;
  return { ...summary(statement), text, signature, public_key: publicKey };
}
