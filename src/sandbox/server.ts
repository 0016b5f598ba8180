import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Provider } from '../domain/routing/provider.js';
import { ANTHROPIC } from './anthropic/simulation.js';
import { deliver } from './delivery.js';
import { directedFault } from './directed-fault.js';
import { DIRECTIVE_HEADER, parseDirectives, type Directives } from './directives.js';
import {
  invalid,
  type Answer,
  type Endpoint,
  type Fault,
  type ProviderSimulation,
  type SandboxCall,
} from './exchange.js';
import { digestOf, idFrom } from './fingerprint.js';
import { GOOGLE } from './google/simulation.js';
import { GROQ } from './groq/simulation.js';
import { objectOf, textOf, type JsonObject } from './json-value.js';
import { OPENAI } from './openai/simulation.js';
import { PrefixMemory } from './prefix-memory.js';
import { inflate, readBody } from './request-body.js';
import { SandboxCounter, type SandboxStats } from './stats.js';

const MODEL_NAME_MAX = 200;

interface Mount {
  readonly provider: Provider;
  readonly simulation: ProviderSimulation;
  readonly prefix: string;
}

const MOUNTS: readonly Mount[] = [
  { provider: 'openai', simulation: OPENAI, prefix: '/openai/v1' },
  { provider: 'anthropic', simulation: ANTHROPIC, prefix: '/anthropic' },
  { provider: 'google', simulation: GOOGLE, prefix: '/google' },
  { provider: 'groq', simulation: GROQ, prefix: '/groq' },
];

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
    void serve(request, response, counter, prefixes).catch(() => response.destroy());
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

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  counter: SandboxCounter,
  prefixes: PrefixMemory,
): Promise<void> {
  response.setHeader('x-shunt-sandbox', '1');
  const [path = '/', queryText = ''] = (request.url ?? '/').split(/\?(.*)/s, 2);
  const mount = MOUNTS.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`));
  const raw = await readBody(request).catch(() => undefined);
  if (raw === undefined) return;
  if (mount === undefined) {
    serveOwnPath(request.method ?? 'GET', path, response, counter);
    return;
  }
  const method = request.method ?? 'GET';
  const localPath = path.slice(mount.prefix.length);
  const endpoint = mount.simulation.endpointOf(method, localPath);
  const query = new URLSearchParams(queryText);
  const read = readJson(raw, request.headers['content-encoding'], method);
  const trace = counter.begin({
    method,
    route: endpoint === null ? `${mount.prefix}/other` : mount.prefix + endpoint.route,
    headerNames: Object.keys(request.headers).toSorted(),
    queryNames: [...query.keys()],
    bodyBytes: raw?.length ?? 0,
    bodySha256: digestOf(raw ?? ''),
    model: read.kind === 'body' ? modelNamed(read.body, localPath) : null,
  });
  response.once('close', () => counter.end(trace, response.writableFinished));
  const digest = digestOf(`${method} ${path} ${read.kind === 'body' ? read.stable : ''}`);
  const asked = parseDirectives(headerText(request.headers[DIRECTIVE_HEADER]));
  const directives = asked.kind === 'directives' ? asked.directives : {};
  const requestId = idFrom(digest, mount.simulation.requestIdPrefix, 'request');
  const answer = ((): Answer | Fault => {
    if (asked.kind === 'refused') return invalid(asked.message, undefined, 'sandbox_directive');
    const key = mount.simulation.keyOf(request.headers, query);
    const refused = refuse(key, endpoint, read, method, localPath);
    if (refused !== null) return refused;
    const directed = directedFault(directives, mount.simulation, requestId);
    if (directed !== null) return directed;
    const call: SandboxCall = {
      method,
      path: localPath,
      query,
      headers: request.headers,
      body: read.kind === 'body' ? read.body : {},
      digest,
      keyDigest: digestOf(key ?? '').slice(0, 16),
      directives,
      prefixes,
    };
    return endpoint?.answer(call) ?? invalid('unreachable');
  })();
  const rendered =
    answer.kind === 'fault' ? mount.simulation.renderFault(answer, requestId) : answer;
  const headers = { ...mount.simulation.standingHeaders(requestId), ...rendered.headers };
  await deliver(response, { ...rendered, headers }, directives, trace);
}

type ReadJson =
  /** `stable` is the body's text less what may be added to it on the way without changing the answer. */
  | { readonly kind: 'body'; readonly body: JsonObject; readonly stable: string }
  | { readonly kind: 'too_large' }
  | { readonly kind: 'unreadable' };

function readJson(raw: Buffer | null, encoding: string | undefined, method: string): ReadJson {
  if (raw === null) return { kind: 'too_large' };
  const inflated = inflate(raw, encoding);
  if (inflated === null) return { kind: 'unreadable' };
  if (inflated.length === 0 && method !== 'POST') return { kind: 'body', body: {}, stable: '' };
  try {
    const body = objectOf(JSON.parse(inflated.toString('utf8')));
    if (body === null) return { kind: 'unreadable' };
    const { stream_options: _options, ...stable } = body;
    return { kind: 'body', body, stable: JSON.stringify(stable) };
  } catch {
    return { kind: 'unreadable' };
  }
}

function refuse(
  key: string | null,
  endpoint: Endpoint | null,
  read: ReadJson,
  method: string,
  path: string,
): Fault | null {
  if (key === null) {
    return {
      kind: 'fault',
      cause: 'credential_missing',
      message: "You didn't provide an API key. Put the key where the provider's SDK puts it.",
    };
  }
  if (key.startsWith('invalid')) {
    return { kind: 'fault', cause: 'credential', message: 'Incorrect API key provided.' };
  }
  if (endpoint === null) {
    const message = `Unknown request URL: ${method} ${path.slice(0, 100)}`;
    return { kind: 'fault', cause: 'path_not_found', message };
  }
  if (read.kind === 'too_large') {
    return { kind: 'fault', cause: 'too_large', message: 'Request exceeds the maximum size.' };
  }
  if (read.kind === 'body') return null;
  return invalid(
    "We could not parse the JSON body of your request. The API expects a JSON object and a matching 'content-encoding'.",
  );
}

function modelNamed(body: JsonObject, path: string): string | null {
  const named = textOf(body['model']) ?? /\/models\/([^:/]+)/.exec(path)?.[1] ?? null;
  return named?.slice(0, MODEL_NAME_MAX) ?? null;
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}

function serveOwnPath(
  method: string,
  path: string,
  response: ServerResponse,
  counter: SandboxCounter,
): void {
  const send = (status: number, body: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  if (path === '/__sandbox/stats' && method === 'GET') return send(200, counter.read());
  if (path === '/__sandbox/stats' && method === 'DELETE') {
    counter.reset();
    return send(200, counter.read());
  }
  if (path === '/__sandbox/redirected') {
    counter.end(
      counter.begin({
        method,
        route: path,
        headerNames: [],
        queryNames: [],
        bodyBytes: 0,
        bodySha256: '',
        model: null,
      }),
      true,
    );
    return send(200, { sandbox: true, redirected: true });
  }
  if (path === '/') return send(200, { sandbox: true, providers: MOUNTS.map((it) => it.prefix) });
  return send(404, { sandbox: true, error: 'The sandbox knows no such path.' });
}
