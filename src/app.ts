import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import helmet from '@fastify/helmet';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyServerFactory } from 'fastify';
import { AppModule } from './app.module.js';
import type { AppConfig } from './config/app-config.js';
import { startEngine, type Engine } from './engine.js';
import { createGatewayServer, refuseUnreadable } from './gateway/gateway.server.js';
import type { UpstreamLimits } from './gateway/stages/forward.js';
import type { FirstInstallation } from './modules/bootstrap/bootstrap.js';
import { NestLogger } from './platform/telemetry/nest-logger.js';
import type { Logger } from './platform/telemetry/logger.js';

export interface App {
  readonly origin: string;
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
): Promise<App> {
  const engine = await startEngine(config, logger, limits);
  try {
    const nest = await createNest(engine, logger);
    await nest.listen({ port: config.port, host: config.host });
    const { port } = nest.getHttpServer().address() as AddressInfo;
    return { origin: originOf(config, port), engine, stop: () => stopApp(nest, engine) };
  } catch (error) {
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
export function originOf({ tls, host }: AppConfig, port: number): string {
  return `${tls === null ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

async function createNest(engine: Engine, logger: Logger): Promise<NestFastifyApplication> {
  const { config, pipeline } = engine;
  const serverFactory: FastifyServerFactory = (others) =>
    createGatewayServer(config, pipeline, logger, others);
  const adapter = new FastifyAdapter({
    serverFactory,
    trustProxy: [...config.trustedProxies],
    clientErrorHandler: refuseUnreadable,
    forceCloseConnections: 'idle',
  });
  const nest = await NestFactory.create<NestFastifyApplication>(
    AppModule.serving(engine),
    adapter,
    {
      logger: new NestLogger(logger),
    },
  );
  await nest.register(helmet, { hsts: config.production });
  return nest;
}

async function stopApp(nest: NestFastifyApplication, engine: Engine): Promise<void> {
  const server = nest.getHttpServer() as Server;
  const closing = nest.close();
  // A client that keeps its connection would go on calling this replica instead of another.
  const sweeping = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
  await engine.accountant.drain(DRAIN_MS_MAX);
  clearInterval(sweeping);
  engine.accountant.cut();
  server.closeAllConnections();
  await closing;
  // Before the connections to the providers go: it was not they who ended these calls.
  await engine.accountant.drain(CUT_MS_MAX);
  await engine.stop();
}
