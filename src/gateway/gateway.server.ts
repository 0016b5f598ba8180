import { readFileSync } from 'node:fs';
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AppConfig } from '../config/app-config.js';
import { mountEnvelope } from '../modules/providers/routes.js';
import { safeError, type Logger } from '../platform/telemetry/logger.js';
import { TrustedProxies } from '../platform/trusted-proxies.js';
import type { GatewayPipeline } from './gateway.pipeline.js';
import { Refusal } from './gateway-error.js';
import { refuse } from './stages/refuse.js';

/** Longer than the idle limit of the balancers in front of it (Google's: 600 s), so that they never meet a closed connection. */
export const KEEP_ALIVE_MS = 620_000;
/** For a whole request to come in. */
const REQUEST_MS_MAX = 660_000;
const HEADERS_MS_MAX = 60_000;
const HEADER_BYTES_MAX = 32_768;
/** Open client connections; further ones wait in the kernel or are closed. */
const CONNECTIONS_MAX = 20_000;

type Handler = (req: IncomingMessage, res: ServerResponse) => void;

/**
 * One listener for the gateway and everything else. The gateway's paths go straight to the pipeline, before the
 * framework: it reads bodies, writes answers and measures its cost itself (docs/decisions/0002).
 */
export function createGatewayServer(
  config: AppConfig,
  pipeline: GatewayPipeline,
  logger: Logger,
  others: Handler,
): Server {
  const proxies = new TrustedProxies(config.trustedProxies);
  const needsHttps = config.production && config.tls === null;
  const onRequest: Handler = (req, res) => {
    const envelope = mountEnvelope(req.url ?? '/');
    if (envelope === null) return others(req, res);
    if (needsHttps && !proxies.saysHttps(req)) {
      return refuse(req, res, { requestId: 'none', envelope }, new Refusal('tls_required'));
    }
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
  };
  const server =
    config.tls === null
      ? http.createServer(options, onRequest)
      : https.createServer({ ...options, ...tlsOptions(config.tls) }, onRequest);
  server.maxConnections = CONNECTIONS_MAX;
  return server;
}

function tlsOptions(tls: NonNullable<AppConfig['tls']>): https.ServerOptions {
  return {
    cert: readFileSync(tls.certFile),
    key: readFileSync(tls.keyFile),
    minVersion: 'TLSv1.2',
  };
}
