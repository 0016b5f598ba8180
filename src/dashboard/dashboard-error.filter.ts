import {
  Catch,
  HttpException,
  Logger,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { HttpError } from '../platform/http/http-error.js';
import { isUnavailable } from '../platform/postgres/query-error.js';

const RETRY_SECONDS = 2;

/** Gives every failure of the dashboard's API its one shape; what was not foreseen is logged without its message. */
@Catch()
export class DashboardErrorFilter implements ExceptionFilter {
  readonly #logger = new Logger('dashboard');

  catch(error: unknown, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const said = this.#toHttpError(error);
    if (said.retryAfterSeconds !== null) {
      reply.header('retry-after', String(said.retryAfterSeconds));
    }
    reply.status(said.getStatus()).send(said.getResponse());
  }

  #toHttpError(error: unknown): HttpError {
    if (error instanceof HttpError) return error;
    if (error instanceof HttpException) {
      return new HttpError(error.getStatus(), 'invalid_request', 'The request cannot be read.');
    }
    if (isUnavailable(error)) {
      return new HttpError(
        503,
        'temporarily_unavailable',
        'The database cannot be reached at the moment; calls through the gateway go on. Try again.',
        RETRY_SECONDS,
      );
    }
    this.#logger.error(error);
    return new HttpError(500, 'internal_error', 'Something went wrong here. Try again.');
  }
}
