import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import cookie from '@fastify/cookie';
import helmet from '@fastify/helmet';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyServerFactory } from 'fastify';
import { adminDoors } from './admin/admin-doors.js';
import { AdminListener } from './admin/admin-listener.js';
import { AppModule } from './app.module.js';
import type { AppConfig } from './config/app-config.js';
import { startEngine, type Engine } from './engine.js';
import { createGatewayServer, refuseUnreadable } from './gateway/gateway.server.js';
import type { UpstreamLimits } from './gateway/stages/forward.js';
import type { JobIntervals } from './jobs/job-table.js';
import type { FirstInstallation } from './modules/bootstrap/bootstrap.js';
import { acceptInvoiceFiles } from './dashboard/invoices.controller.js';
import { addApiHeaders } from './platform/http/api-headers.js';
import { NoRouteFilter, refusePath } from './platform/http/router-errors.js';
import { systemClock } from './platform/clock.js';
import { NestLogger } from './platform/telemetry/nest-logger.js';
import type { Logger } from './platform/telemetry/logger.js';
import { paddleWebhook } from './webhooks/paddle-webhook.js';

export interface App {
  readonly origin: string;
  /** Of the operators' own listener; null where the common one serves `/admin`. */
  readonly adminOrigin: string | null;
  readonly engine: Engine;
  /** Takes no new calls, lets streams end within a limit, brings every record to safety. */
  stop(): Promise<void>;
}

/** How long streams may go on when the process is asked to end. */
const DRAIN_MS_MAX = 30_000;
/** While it ends, connections that have fallen idle are closed this often. */
const SWEEP_MS = 100;
/** How long it may take until the calls that were cut off by that know it. */
const CUT_MS_MAX = 1_000;

export async function startApp(
  config: AppConfig,
  logger: Logger,
  limits?: UpstreamLimits,
  jobIntervals?: JobIntervals,
): Promise<App> {
  const engine = await startEngine(config, logger, limits, jobIntervals);
  let admin: AdminListener | null = null;
  try {
    const nest = await createNest(engine, logger, (listener) => {
      admin = listener;
    });
    const adminOrigin = await listenForOperators(nest, config, admin);
    await nest.listen({ port: config.port, host: config.host });
    const { port } = nest.getHttpServer().address() as AddressInfo;
    const stop = (): Promise<void> => stopApp(nest, engine, admin);
    return { origin: originOf(config, port), adminOrigin, engine, stop };
  } catch (error) {
    await (admin as AdminListener | null)?.close(0);
    await engine.stop();
    if (engine.bootstrapped?.kind !== 'created') throw error;
    throw new FailedFirstStart(engine.bootstrapped, error);
  }
}

/** What a first start makes is shown once. This one made it, and then failed (`cause`): it must be shown all the same. */
export class FailedFirstStart extends Error {
  override readonly name = 'FailedFirstStart';

  constructor(
    readonly made: FirstInstallation,
    cause: unknown,
  ) {
    super('The first start failed after it had made the first organization.', { cause });
  }
}

/** Where clients reach it, on this machine. */
export function originOf({ tls, host }: Pick<AppConfig, 'tls' | 'host'>, port: number): string {
  return `${tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The framework must be ready before anything comes in. */
async function listenForOperators(
  nest: NestFastifyApplication,
  { adminListener, tls }: AppConfig,
  admin: AdminListener | null,
): Promise<string | null> {
  if (admin === null || adminListener === null) return null;
  await nest.init();
  const { host } = adminListener;
  return originOf({ tls, host }, await admin.listen(adminListener));
}

async function createNest(
  engine: Engine,
  logger: Logger,
  onAdminListener: (listener: AdminListener) => void,
): Promise<NestFastifyApplication> {
  const { config, pipeline } = engine;
  const serverFactory: FastifyServerFactory = (others) => {
    if (config.role === 'worker') return createGatewayServer(config, null, logger, others);
    if (config.adminListener === null) return createGatewayServer(config, pipeline, logger, others);
    const doors = adminDoors(others);
    const server = createGatewayServer(config, null, logger, doors.admin);
    server.on('clientError', refuseUnreadable);
    onAdminListener(new AdminListener(server));
    return createGatewayServer(config, pipeline, logger, doors.common);
  };
  const adapter = new FastifyAdapter({
    serverFactory,
    trustProxy: [...config.trustedProxies],
    clientErrorHandler: refuseUnreadable,
    frameworkErrors: refusePath,
    forceCloseConnections: 'idle',
  });
  const nest = await NestFactory.create<NestFastifyApplication>(
    AppModule.serving(engine),
    adapter,
    {
      logger: new NestLogger(logger),
    },
  );
  nest.useGlobalFilters(new NoRouteFilter());
  await nest.register(helmet, { hsts: config.production });
  await nest.register(cookie, { secret: config.secrets.sessionSecret });
  const { billing } = engine.services;
  const { paddle } = config;
  if (config.role !== 'worker')
    await nest.register(paddleWebhook({ billing, paddle, clock: systemClock, logger }));
  acceptInvoiceFiles(nest.getHttpAdapter().getInstance());
  addApiHeaders(nest.getHttpAdapter().getInstance(), config.allowedOrigins);
  return nest;
}

async function stopApp(
  nest: NestFastifyApplication,
  engine: Engine,
  admin: AdminListener | null,
): Promise<void> {
  const server = nest.getHttpServer() as Server;
  const adminClosed = admin?.close(DRAIN_MS_MAX);
  const closing = nest.close();
  // A client that keeps its connection would go on calling this replica instead of another.
  const sweeping = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
  await engine.accountant.drain(DRAIN_MS_MAX);
  clearInterval(sweeping);
  engine.accountant.cut();
  server.closeAllConnections();
  await closing;
  await adminClosed;
  // Before the connections to the providers go: it was not they who ended these calls.
  await engine.accountant.drain(CUT_MS_MAX);
  await engine.stop();
}
