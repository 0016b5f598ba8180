import { HttpException } from '@nestjs/common';
import type { FastifyError, FastifyInstance } from 'fastify';

const PREFLIGHT_SECONDS = 600;
const API = /^\/api(?:[/?]|$)/;
const ANY_API = /^\/(?:admin\/)?api(?:\/|$)/;
const METHODS = 'GET, POST, PUT, PATCH, DELETE';
const HEADERS = 'content-type, x-csrf-token, x-shunt-organization-id';

/**
 * What every answer under `/api` has, refusals and paths of nobody included: it is never kept by a cache, and pages
 * of the allowed origins, and no others, may read it. Nothing outside `/api` is ever shared with another origin.
 */
export function addApiHeaders(server: FastifyInstance, allowedOrigins: readonly string[]): void {
  server.addHook('onRoute', (route) => {
    if (!ANY_API.test(route.url)) return;
    route.errorHandler = (error, _request, reply) => {
      const { status, code, message } = unreadable(error);
      void reply.status(status).send({ error: { code, message } });
    };
  });
  server.addHook('onRequest', async (request, reply) => {
    // The route that was found has the last word on how a path may be written; a preflight finds none.
    if (![request.url, request.routeOptions.url ?? ''].some((url) => API.test(url))) return;
    reply.header('cache-control', 'no-store');
    if (allowedOrigins.length === 0) return;
    reply.header('vary', 'origin');
    const { origin } = request.headers;
    if (origin === undefined || !allowedOrigins.includes(origin)) return;
    reply.header('access-control-allow-origin', origin);
    reply.header('access-control-allow-credentials', 'true');
    if (request.method !== 'OPTIONS') return;
    reply.header('access-control-allow-methods', METHODS);
    reply.header('access-control-allow-headers', HEADERS);
    reply.header('access-control-max-age', String(PREFLIGHT_SECONDS));
    return reply.status(204).send();
  });
}

/** What cannot be read at all reaches no controller and none of its filters. The server's own words may quote it. */
function unreadable(error: FastifyError | HttpException) {
  const { statusCode = 500 } =
    error instanceof HttpException ? { statusCode: error.getStatus() } : error;
  if (statusCode === 413) {
    return { status: 413, code: 'body_too_large', message: 'The body is too large.' };
  }
  if (statusCode >= 400 && statusCode < 500) {
    const message = 'The body cannot be read: send JSON, as application/json.';
    return { status: statusCode, code: 'invalid_request', message };
  }
  return { status: 500, code: 'internal_error', message: 'Something went wrong here. Try again.' };
}
