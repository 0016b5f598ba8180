import { Body, Delete, Get, HttpCode, Inject, Param, Post } from '@nestjs/common';
import { z } from 'zod';
import type { Actor } from '../domain/subscription/actor.js';
import { OPERATOR_NAME_FORM, type OperatorCredentials } from '../modules/operators/operator.js';
import { OperatorService, OPERATORS_MAX } from '../modules/operators/operator.service.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { AdminController } from './admin.controller.js';
import { CurrentOperator } from './admin.guard.js';

const NEW_OPERATOR = z.strictObject({ name: z.string().trim().min(1).max(100) });
const NOTHING = z.strictObject({});

/** Who runs the installation. */
@AdminController('operators')
export class OperatorsController {
  constructor(@Inject(OperatorService) private readonly operators: OperatorService) {}

  @Get()
  async list() {
    const all = await this.operators.list();
    const data = all.map(({ name, createdAt, disabledAt }) => ({
      name,
      created_at: createdAt,
      disabled_at: disabledAt,
    }));
    return { data };
  }

  /** The credentials are in this answer and nowhere else. */
  @Post()
  async create(@Body() body: unknown, @CurrentOperator() actor: Actor) {
    const { name } = readBody(NEW_OPERATOR, body);
    const created = await this.operators.create(name, actor);
    switch (created.kind) {
      case 'unusable_name':
        throw new HttpError(400, 'invalid_request', `name: ${OPERATOR_NAME_FORM}`);
      case 'name_taken':
        throw new HttpError(
          409,
          'name_taken',
          'There is, or was, an operator of that name; the trail knows them by it. Choose another.',
        );
      case 'too_many':
        throw new HttpError(
          409,
          'too_many_operators',
          `There are ${OPERATORS_MAX} operators already.`,
        );
      case 'created':
        return shown(created.credentials, created.auditSeq);
    }
  }

  @Delete(':name')
  async disable(@Param('name') name: string, @CurrentOperator() actor: Actor) {
    const disabled = await this.operators.disable(name, actor);
    switch (disabled.kind) {
      case 'unknown':
        throw unknownOperator();
      case 'last_one':
        throw new HttpError(
          409,
          'last_operator',
          'This is the last enabled operator: create another one first.',
        );
      case 'unchanged':
        return { name, changed: false, audit_seq: null };
      case 'disabled':
        return { name, changed: true, audit_seq: disabled.auditSeq };
    }
  }

  /** New secret, new code generator; every session under the old ones ends. */
  @Post(':name/rotate')
  @HttpCode(200)
  async rotate(
    @Param('name') name: string,
    @Body() body: unknown,
    @CurrentOperator() actor: Actor,
  ) {
    readBody(NOTHING, body);
    const rotated = await this.operators.rotate(name, actor);
    if (rotated.kind === 'unknown') throw unknownOperator();
    return shown(rotated.credentials, rotated.auditSeq);
  }
}

function unknownOperator(): HttpError {
  return new HttpError(404, 'unknown_operator', 'There is no enabled operator of that name.');
}

function shown({ name, secret, totpSecret, totpUri }: OperatorCredentials, auditSeq: number) {
  return { name, secret, totp_secret: totpSecret, totp_uri: totpUri, audit_seq: auditSeq };
}
