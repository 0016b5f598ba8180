import type { IncomingMessage, ServerResponse } from 'node:http';
import { ANTHROPIC } from './anthropic/simulation.js';
import { deliver } from './delivery.js';
import { directedFault } from './directed-fault.js';
import { DIRECTIVE_HEADER, parseDirectives, type ParsedDirectives } from './directives.js';
import {
  invalid,
  type Answer,
  type Endpoint,
  type Fault,
  type ProviderSimulation,
} from './exchange.js';
import { digestOf, idFrom } from './fingerprint.js';
import { GOOGLE } from './google/simulation.js';
import { GROQ } from './groq/simulation.js';
import { objectOf, textOf, type JsonObject } from './json-value.js';
import { OPENAI } from './openai/simulation.js';
import type { PrefixMemory } from './prefix-memory.js';
import { inflate, readBody } from './request-body.js';
import type { SandboxCounter } from './stats.js';

const MODEL_NAME_MAX = 200;

/** Where each provider's paths begin. */
const MOUNTS: readonly (readonly [prefix: string, simulation: ProviderSimulation])[] = [
  ['/openai/v1', OPENAI],
  ['/anthropic', ANTHROPIC],
  ['/google', GOOGLE],
  ['/groq', GROQ],
];

/** Answers one request; resolves when the answer is written, or the caller has gone. */
export async function serveRequest(
  request: IncomingMessage,
  response: ServerResponse,
  counter: SandboxCounter,
  prefixes: PrefixMemory,
): Promise<void> {
  response.setHeader('x-shunt-sandbox', '1');
  const method = request.method ?? 'GET';
  const [path = '/', queryText = ''] = (request.url ?? '/').split(/\?(.*)/s, 2);
  const raw = await readBody(request).catch(() => undefined);
  // The caller went away while it was still asking.
  if (raw === undefined) return;
  const mount = MOUNTS.find(([prefix]) => path.startsWith(`${prefix}/`));
  if (mount === undefined) {
    serveOwnPath(method, path, response, counter);
    return;
  }
  const [prefix, simulation] = mount;
  const received = receive(request, simulation, raw, path.slice(prefix.length), queryText);
  const { endpoint, read } = received;
  const trace = counter.begin({
    method,
    route: prefix + (endpoint?.route ?? '/other'),
    headerNames: Object.keys(request.headers).toSorted(),
    queryNames: [...received.query.keys()],
    bodyBytes: raw?.length ?? 0,
    bodySha256: digestOf(raw ?? ''),
    model: read.kind === 'body' ? modelNamed(read.body, received.path) : null,
  });
  response.once('close', () => counter.end(trace, response.writableFinished));
  const digest = digestOf(`${method} ${path} ${read.kind === 'body' ? read.stable : ''}`);
  const requestId = idFrom(digest, simulation.requestIdPrefix, 'request');
  const answer = answerTo(received, simulation, digest, requestId, prefixes);
  const rendered = answer.kind === 'fault' ? simulation.renderFault(answer, requestId) : answer;
  const headers = { ...simulation.standingHeaders(requestId), ...rendered.headers };
  const { asked } = received;
  const directives = asked.kind === 'directives' ? asked.directives : {};
  await deliver(response, { ...rendered, headers }, directives, trace);
}

interface Received {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly endpoint: Endpoint | null;
  readonly read: ReadJson;
  readonly asked: ParsedDirectives;
}

function receive(
  request: IncomingMessage,
  simulation: ProviderSimulation,
  raw: Buffer | null,
  path: string,
  queryText: string,
): Received {
  const method = request.method ?? 'GET';
  const { headers } = request;
  return {
    method,
    path,
    query: new URLSearchParams(queryText),
    headers,
    endpoint: simulation.endpointOf(method, path),
    read: readJson(raw, headers['content-encoding'], method),
    asked: parseDirectives(headerText(headers[DIRECTIVE_HEADER])),
  };
}

function answerTo(
  received: Received,
  simulation: ProviderSimulation,
  digest: string,
  requestId: string,
  prefixes: PrefixMemory,
): Answer | Fault {
  const { asked, endpoint, read, method, path, query, headers } = received;
  if (asked.kind === 'refused') return invalid(asked.message, undefined, 'sandbox_directive');
  const key = simulation.keyOf(headers, query);
  if (key === null) {
    const message = "You didn't provide an API key. Put the key where the provider's SDK puts it.";
    return { kind: 'fault', cause: 'credential_missing', message };
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
  if (read.kind === 'unreadable') {
    return invalid(
      "We could not parse the JSON body of your request. The API expects a JSON object and a matching 'content-encoding'.",
    );
  }
  const { directives } = asked;
  return (
    directedFault(directives, simulation, requestId) ??
    endpoint.answer({
      method,
      path,
      query,
      headers,
      body: read.body,
      digest,
      keyDigest: digestOf(key).slice(0, 16),
      directives,
      prefixes,
    })
  );
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
  if (path === '/')
    return send(200, { sandbox: true, providers: MOUNTS.map(([prefix]) => prefix) });
  return send(404, { sandbox: true, error: 'The sandbox knows no such path.' });
}
