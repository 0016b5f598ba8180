import { Controller, Get, Header, HttpException, Inject, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { timingSafeEqual } from 'node:crypto';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { Metrics } from '../platform/telemetry/metrics.js';
import { isLoopback } from '../platform/trusted-proxies.js';
import { Readiness } from './readiness.js';

/** What proxies say of themselves and of whom they speak for. */
const PROXY_HEADERS = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
] as const;

/** What balancers, orchestrators and Prometheus ask. */
@Controller()
export class OperationsController {
  constructor(
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    @Inject(Metrics) private readonly metrics: Metrics,
    @Inject(Readiness) private readonly readiness: Readiness,
  ) {}

  /** The process runs. */
  @Get('healthz')
  @Header('cache-control', 'no-store')
  healthz(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /** Its dependencies answer. Forwarding does not depend on this: take a replica out of service for other reasons. */
  @Get('readyz')
  @Header('cache-control', 'no-store')
  async readyz(@Res({ passthrough: true }) reply: FastifyReply): Promise<unknown> {
    const state = await this.readiness.check();
    void reply.status(state.status === 'ready' ? 200 : 503);
    return state;
  }

  @Get('metrics')
  async prometheus(
    @Req() req: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    if (!this.mayReadMetrics(req)) {
      throw new HttpException(
        'Metrics need a token off loopback: set SHUNT_METRICS_TOKEN and send it as Bearer.',
        401,
      );
    }
    void reply.header('content-type', this.metrics.registry.contentType);
    return this.metrics.registry.metrics();
  }

  /** A call through a proxy comes from its address, and not from loopback, even on one machine. */
  private mayReadMetrics(req: FastifyRequest): boolean {
    const sent = /^bearer (.+)$/i.exec(req.headers.authorization ?? '')?.[1];
    if (sent !== undefined && this.config.metricsToken !== null)
      return equal(sent, this.config.metricsToken);
    const proxied = PROXY_HEADERS.some((name) => req.headers[name] !== undefined);
    return !proxied && isLoopback(req.socket.remoteAddress);
  }
}

function equal(sent: string, expected: string): boolean {
  const a = Buffer.from(sent);
  const b = Buffer.from(expected);
  return a.length === b.length && timingSafeEqual(a, b);
}
