import { Catch, NotFoundException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';

/**
 * What reaches no route has the APIs' one shape too. The framework's own answer would repeat the path that was asked
 * for, whatever stands in it.
 */
@Catch(NotFoundException)
export class NoRouteFilter implements ExceptionFilter {
  catch(_error: unknown, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    void reply
      .status(404)
      .send({ error: { code: 'not_found', message: 'There is nothing here.' } });
  }
}

/** The same for a path that the router cannot read: no hook and no filter sees it. */
export function refusePath(
  { statusCode = 400 }: FastifyError,
  _request: FastifyRequest,
  reply: FastifyReply,
): void {
  void reply
    .status(statusCode)
    .header('cache-control', 'no-store')
    .send({ error: { code: 'invalid_request', message: 'The path cannot be read.' } });
}
