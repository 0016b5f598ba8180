import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Provider } from '../domain/routing/provider.js';
import { PrefixMemory } from './prefix-memory.js';
import { serveRequest } from './serve-request.js';
import { SandboxCounter, type SandboxStats } from './stats.js';

export interface SandboxOptions {
  /** 0, the default, takes a free one. */
  readonly port?: number;
  readonly host?: string;
  /** Milliseconds since the epoch; decides when a cached prefix is forgotten. */
  readonly nowMs?: () => number;
  /** The sandbox never runs where this is `production`. */
  readonly environment?: string | undefined;
}

export interface Sandbox {
  readonly origin: string;
  /** In the form that each provider's own SDK takes. */
  readonly baseUrls: Readonly<Record<Provider, string>>;
  /** The same as `GET /__sandbox/stats`. */
  stats(): SandboxStats;
  /** The same as `DELETE /__sandbox/stats`: starts counting anew. */
  resetStats(): void;
  /** Cuts open connections and resolves when the port is free. */
  close(): Promise<void>;
}

/**
 * Starts a simulation of the four providers on one port. It answers in their wire formats, without any model behind
 * it, and says so in `x-shunt-sandbox: 1` on every answer. Throws in production and when the port is taken.
 */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  // Asked here and not in the configuration: whoever starts the sandbox, it must not run in production.
  if ((options.environment ?? process.env['NODE_ENV']) === 'production') {
    throw new Error('The sandbox does not run in production: NODE_ENV is "production".');
  }
  const counter = new SandboxCounter();
  const prefixes = new PrefixMemory(options.nowMs ?? Date.now);
  const server = createServer({ noDelay: true, keepAliveTimeout: 60_000 }, (request, response) => {
    void serveRequest(request, response, counter, prefixes).catch(() => response.destroy());
  });
  // A stalled answer is to stall for as long as the caller waits.
  server.requestTimeout = 0;
  const host = options.host ?? '127.0.0.1';
  await listen(server, options.port ?? 0, host);
  const { port } = server.address() as AddressInfo;
  const origin = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return {
    origin,
    baseUrls: {
      openai: `${origin}/openai/v1`,
      anthropic: `${origin}/anthropic`,
      google: `${origin}/google`,
      groq: `${origin}/groq`,
    },
    stats: () => counter.read(),
    resetStats: () => counter.reset(),
    close: () => close(server),
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
