import {
  HttpException,
  Inject,
  Injectable,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { PrincipalDirectory } from '../modules/api-keys/principal-directory.js';
import type { Principal } from '../modules/api-keys/principal.js';

/** A request whose project key was recognised. */
export type ApplicationRequest = FastifyRequest & { principal: Principal };

/** Lets applications in with the project key that their calls use, as `Authorization: Bearer`. */
@Injectable()
export class ProjectKeyGuard implements CanActivate {
  constructor(@Inject(PrincipalDirectory) private readonly principals: PrincipalDirectory) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<ApplicationRequest>();
    const token = /^bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1]?.trim();
    if (token === undefined)
      throw refused(401, 'missing_key', 'Send a Shunt project key as a Bearer token.');
    const found = await this.principals.find(token);
    if (found.kind === 'unavailable') {
      throw refused(
        503,
        'key_check_unavailable',
        'The key cannot be checked at the moment. Try again.',
      );
    }
    if (found.kind !== 'known')
      throw refused(401, 'unknown_key', 'This is not a current Shunt project key.');
    request.principal = found.principal;
    return true;
  }
}

/** An error in the shape that OpenAI's SDK parses, which is the one of the application API. */
export function refused(status: number, code: string, message: string): HttpException {
  return new HttpException(
    { error: { message, type: 'invalid_request_error', param: null, code } },
    status,
  );
}
