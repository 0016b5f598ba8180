import type { Provider } from '../../domain/routing/provider.js';
import type { Operation, WireFormat } from './wire-format.js';

/** The shape in which the calling SDK expects an error. */
export type Envelope = 'openai' | 'anthropic' | 'google';

/** What a path of the gateway stands for. */
export interface Route {
  readonly provider: Provider;
  readonly envelope: Envelope;
  readonly operation: Operation;
  readonly format: WireFormat;
  /** The path below the provider's base URL (see `AppConfig.upstreams`). */
  readonly upstreamPath: string;
  /** The model, where the path names it (Google); otherwise the body does. */
  readonly pathModel: string | null;
  /** A generation or counting call: its body is read. Other bodies are relayed as streams. */
  readonly readsBody: boolean;
  /** The format names its model in the body, and always: a body without one is refused. */
  readonly needsModel: boolean;
  /** The `model` of a body is the one that answers. Elsewhere a body may name one model and a path or file another. */
  readonly bodyNamesModel: boolean;
}

interface Endpoint {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
  readonly format: WireFormat;
}

const post = (path: string, operation: Operation, format: WireFormat): Endpoint => ({
  method: 'POST',
  path,
  operation,
  format,
});

const OPENAI_COMPATIBLE = [
  post('/chat/completions', 'chat', 'openai_chat'),
  post('/embeddings', 'embeddings', 'openai_embeddings'),
];

const OPENAI = [
  ...OPENAI_COMPATIBLE,
  post('/responses', 'responses', 'openai_responses'),
  post('/responses/input_tokens', 'count_tokens', 'opaque'),
];

/** Relayed paths of OpenAI's format whose JSON body names the model that answers. */
const NAMING_PATHS: ReadonlySet<string> = new Set([
  '/audio/speech',
  '/completions',
  '/images/generations',
  '/moderations',
  '/responses/compact',
]);

/** A stored prompt brings a model of its own. */
const MODEL_OPTIONAL: ReadonlySet<string> = new Set(['/responses', '/responses/input_tokens']);

const ANTHROPIC = [
  post('/v1/messages', 'messages', 'anthropic_messages'),
  post('/v1/messages/count_tokens', 'count_tokens', 'anthropic_count_tokens'),
];

const GOOGLE_METHODS: ReadonlyMap<string, readonly [Operation, WireFormat]> = new Map([
  ['generateContent', ['generate_content', 'google_generate_content']],
  ['streamGenerateContent', ['generate_content', 'google_generate_content']],
  ['countTokens', ['count_tokens', 'google_count_tokens']],
  ['embedContent', ['embeddings', 'google_embed_content']],
  ['batchEmbedContents', ['embeddings', 'google_embed_content']],
]);

/** `/v1/models` is OpenAI's and Anthropic's; the header that only Anthropic's SDK sends tells them apart. */
export interface RouteHints {
  readonly anthropicVersion: boolean;
}

/**
 * Recognises a normalised path; null where it is no path of the gateway at all.
 * A provider's path that is not known here comes back as operation `other`, for the path allow-list to decide.
 */
export function recognise(method: string, path: string, hints: RouteHints): Route | null {
  const slash = path.indexOf('/', 1);
  const mount = slash < 0 ? path : path.slice(0, slash);
  const rest = slash < 0 ? '' : path.slice(slash);
  switch (mount) {
    case '/openai':
      return rest.startsWith('/v1/') ? openai(method, rest.slice(3)) : null;
    case '/anthropic':
      return rest.startsWith('/v1/') ? anthropic(method, rest) : null;
    case '/google':
      return google(method, rest);
    case '/groq':
      return rest.startsWith('/openai/v1/') ? compatible(method, rest, '/openai/v1', 'groq') : null;
    case '/v1':
      return rest === '/messages' || rest.startsWith('/messages/') || isAnthropicModels(rest, hints)
        ? anthropic(method, path)
        : openai(method, rest);
    default:
      return null;
  }
}

/** Whether a path lies below one of the gateway's mounts, recognised or not; tells whose error it gets. */
export function mountOf(path: string): { provider: Provider; envelope: Envelope } | null {
  const mount = /^\/(openai|groq|anthropic|google|v1)(?:\/|\?|$)/.exec(path)?.[1];
  switch (mount) {
    case 'openai':
    case 'groq':
      return { provider: mount, envelope: 'openai' };
    case 'anthropic':
    case 'google':
      return { provider: mount, envelope: mount };
    case 'v1':
      return path.startsWith('/v1/messages')
        ? { provider: 'anthropic', envelope: 'anthropic' }
        : { provider: 'openai', envelope: 'openai' };
    default:
      return null;
  }
}

/** The route of a call that is refused for its path: nothing is forwarded by it. */
export function unrecognisedRoute(path: string): Route {
  const { provider, envelope } = mountOf(path) ?? { provider: 'openai', envelope: 'openai' };
  const nothing = { rest: null, endpoint: undefined, models: false };
  return routeOf(provider, envelope, path, nothing);
}

function isAnthropicModels(rest: string, hints: RouteHints): boolean {
  return hints.anthropicVersion && (rest === '/models' || rest.startsWith('/models/'));
}

function openai(method: string, rest: string): Route {
  const models = isModels(method, rest, '/models');
  return routeOf('openai', 'openai', rest, { rest, endpoint: find(OPENAI, method, rest), models });
}

function anthropic(method: string, rest: string): Route {
  const models = isModels(method, rest, '/v1/models');
  const endpoint = find(ANTHROPIC, method, rest);
  return routeOf('anthropic', 'anthropic', rest, { rest: null, endpoint, models });
}

function compatible(method: string, path: string, prefix: string, provider: Provider): Route {
  const rest = path.slice(prefix.length);
  const endpoint = find(OPENAI_COMPATIBLE, method, rest);
  const models = isModels(method, rest, '/models');
  return routeOf(provider, 'openai', path, { rest, endpoint, models });
}

function google(method: string, path: string): Route | null {
  const version = /^\/(?:v1beta|v1)(?=\/)/.exec(path)?.[0];
  if (version === undefined) return null;
  if (path.startsWith('/v1beta/openai/'))
    return compatible(method, path, '/v1beta/openai', 'google');
  const named = /^\/models\/(shunt\/auto|[^/:]+)(?::([A-Za-z]+))?$/.exec(
    path.slice(version.length),
  );
  const known =
    named?.[2] !== undefined && method === 'POST' ? GOOGLE_METHODS.get(named[2]) : undefined;
  if (named?.[1] !== undefined && known !== undefined) {
    const [operation, format] = known;
    return {
      provider: 'google',
      envelope: 'google',
      operation,
      format,
      upstreamPath: path,
      pathModel: decodeURIComponent(named[1]),
      readsBody: true,
      needsModel: false,
      bodyNamesModel: false,
    };
  }
  const models = isModels(method, path.slice(version.length), '/models') && !path.includes(':');
  return routeOf('google', 'google', path, { rest: null, endpoint: undefined, models });
}

interface Recognised {
  /** Below an OpenAI-format base URL; null where the format is another. */
  readonly rest: string | null;
  readonly endpoint: Endpoint | undefined;
  readonly models: boolean;
}

function routeOf(
  provider: Provider,
  envelope: Envelope,
  upstreamPath: string,
  { rest, endpoint, models }: Recognised,
): Route {
  const readsBody = endpoint !== undefined;
  return {
    provider,
    envelope,
    operation: endpoint?.operation ?? (models ? 'models' : 'other'),
    format: endpoint?.format ?? 'opaque',
    upstreamPath,
    pathModel: null,
    readsBody,
    needsModel: readsBody && !(rest !== null && MODEL_OPTIONAL.has(rest)),
    bodyNamesModel: readsBody || (rest !== null && NAMING_PATHS.has(rest)),
  };
}

function find(endpoints: readonly Endpoint[], method: string, path: string): Endpoint | undefined {
  return endpoints.find((endpoint) => endpoint.path === path && endpoint.method === method);
}

function isModels(method: string, path: string, models: string): boolean {
  return method === 'GET' && (path === models || path.startsWith(`${models}/`));
}
