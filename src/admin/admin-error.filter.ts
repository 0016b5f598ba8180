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

/** What still works when the database does not. */
export const DATABASE_AWAY = new HttpError(
  503,
  'database_unavailable',
  'The database does not answer, so nothing was changed. Calls go on. To stop routing now, run on each machine: ' +
    'npm run shunt -- kill --local --reason "...". A replica that can renew its right to route nowhere stops routing within 5 s.',
);

const INTERNAL = new HttpError(500, 'internal_error', 'Something went wrong; the log says what.');

/** Every refusal as `{"error":{"code","message"}}`; of what nobody foresaw the caller learns nothing. */
@Catch()
export class AdminErrorFilter implements ExceptionFilter {
  readonly #logger = new Logger(AdminErrorFilter.name);

  catch(error: unknown, host: ArgumentsHost): void {
    const known = this.#knownError(error);
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const { retryAfterSeconds = null } = known as Partial<HttpError>;
    if (retryAfterSeconds !== null) void reply.header('retry-after', String(retryAfterSeconds));
    void reply
      .header('cache-control', 'no-store')
      .status(known.getStatus())
      .send(known.getResponse());
  }

  #knownError(error: unknown): HttpException {
    if (error instanceof HttpException) return error;
    if (isUnavailable(error)) return DATABASE_AWAY;
    this.#logger.error(error);
    return INTERNAL;
  }
}
