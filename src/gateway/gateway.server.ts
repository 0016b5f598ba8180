import { randomUUIDv7 } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { AppConfig } from '../config/app-config.js';
import { mountOf } from '../modules/providers/routes.js';
import { safeError, type Logger } from '../platform/telemetry/logger.js';
import { TrustedProxies } from '../platform/trusted-proxies.js';
import type { GatewayPipeline } from './gateway.pipeline.js';
import { Refusal } from './gateway-error.js';
import { SECURITY_HEADERS } from './stages/answer-headers.js';
import { refuse } from './stages/refuse.js';

/** Longer than the idle limit of the balancers in front of it (Google's: 600 s), so that they never meet a closed connection. */
export const KEEP_ALIVE_MS = 620_000;
/** For a whole request to come in. */
const REQUEST_MS_MAX = 660_000;
const HEADERS_MS_MAX = 60_000;
const HEADER_BYTES_MAX = 32_768;
/** Open client connections; further ones wait in the kernel or are closed. */
const CONNECTIONS_MAX = 20_000;

/** Asked by orchestrators and Prometheus over the internal network, in plain HTTP in production too. */
const PROBES = /^\/(?:healthz|readyz|metrics)(?:\?|$)/;

type Handler = (req: IncomingMessage, res: ServerResponse) => void;

/**
 * One listener for the gateway and everything else. The gateway's paths go straight to the pipeline, before the
 * framework: it reads bodies, writes answers and measures its cost itself (docs/decisions/0002). Without a pipeline it
 * forwards no calls: the operators' own listener.
 */
export function createGatewayServer(
  config: AppConfig,
  pipeline: GatewayPipeline | null,
  logger: Logger,
  others: Handler,
): Server {
  const proxies = new TrustedProxies(config.trustedProxies);
  const needsHttps = config.production && config.tls === null;
  const onRequest: Handler = (req, res) => {
    const target = req.url ?? '/';
    const mount = pipeline === null ? null : mountOf(target);
    if (needsHttps && !proxies.saysHttps(req) && !PROBES.test(target)) {
      const call = { requestId: randomUUIDv7(), envelope: mount?.envelope ?? 'openai' };
      logger.debug({ requestId: call.requestId, code: 'tls_required' }, 'call turned away');
      return refuse(req, res, call, new Refusal('tls_required'));
    }
    if (mount === null || pipeline === null) return serveOther(req, res, others);
    pipeline.handle(req, res).catch((error: unknown) => {
      logger.error({ err: safeError(error) }, 'a call could not even be refused');
      res.destroy();
    });
  };
  const options = {
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: REQUEST_MS_MAX,
    headersTimeout: HEADERS_MS_MAX,
    maxHeaderSize: HEADER_BYTES_MAX,
    noDelay: true,
    ...(config.production ? { ServerResponse: StrictTransportResponse } : {}),
  };
  const server =
    config.tls === null
      ? http.createServer(options, onRequest)
      : https.createServer({ ...options, ...tlsOptions(config.tls) }, onRequest);
  server.maxConnections = CONNECTIONS_MAX;
  return server;
}

/** A year, as the framework's own answers have it. */
const STRICT_TRANSPORT = ['strict-transport-security', 'max-age=31536000; includeSubDomains'];

/** In production everything is served over https, and every answer says so, relayed and refused ones too. */
class StrictTransportResponse extends http.ServerResponse {
  override writeHead(status: number, ...rest: never[]): this {
    const [headers] = rest as unknown as [unknown];
    if (Array.isArray(headers)) headers.push(...STRICT_TRANSPORT);
    return super.writeHead(status, ...rest);
  }
}

/** The framework sets headers of its own, but not on what it refuses before a route is found. */
function serveOther(req: IncomingMessage, res: ServerResponse, others: Handler): void {
  for (let i = 0; i < SECURITY_HEADERS.length; i += 2) {
    res.setHeader(SECURITY_HEADERS[i]!, SECURITY_HEADERS[i + 1]!);
  }
  others(req, res);
}

const UNREADABLE: Readonly<Record<string, number>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
};

/** Answers what is no HTTP request: nothing is known of it, not even whose envelope it would want. */
export function refuseUnreadable(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const status = UNREADABLE[error.code ?? ''] ?? 400;
  const headers = ['content-length', '0', 'connection', 'close', ...SECURITY_HEADERS];
  let head = `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n`;
  for (let i = 0; i < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  if (socket.writable) socket.write(`${head}\r\n`);
  socket.destroy();
}

function tlsOptions(tls: NonNullable<AppConfig['tls']>): https.ServerOptions {
  return {
    cert: readFileSync(tls.certFile),
    key: readFileSync(tls.keyFile),
    minVersion: 'TLSv1.2',
  };
}
