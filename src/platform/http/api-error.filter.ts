import {
  Catch,
  HttpException,
  Logger,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { isUnavailable } from '../postgres/query-error.js';
import { HttpError } from './http-error.js';

const UNREADABLE = 'The request cannot be read.';
const INTERNAL = new HttpError(500, 'internal_error', 'Something went wrong here. Try again.');

/** Gives every failure of an API its one shape; of what nobody foresaw the caller learns nothing. */
@Catch()
export class ApiErrorFilter implements ExceptionFilter {
  readonly #logger: Logger;

  /** `away`: what is said where the database does not answer. */
  constructor(
    api: 'dashboard' | 'admin',
    private readonly away: HttpError,
  ) {
    this.#logger = new Logger(api);
  }

  catch(error: unknown, host: ArgumentsHost): void {
    const said = this.#toHttpError(error);
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    if (said.retryAfterSeconds !== null) {
      void reply.header('retry-after', String(said.retryAfterSeconds));
    }
    void reply
      .header('cache-control', 'no-store')
      .status(said.getStatus())
      .send(said.getResponse());
  }

  #toHttpError(error: unknown): HttpError {
    if (error instanceof HttpError) return error;
    if (error instanceof HttpException) {
      return new HttpError(error.getStatus(), 'invalid_request', UNREADABLE);
    }
    if (isUnavailable(error)) return this.away;
    this.#logger.error(error);
    return INTERNAL;
  }
}
