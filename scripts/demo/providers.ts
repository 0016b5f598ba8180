import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Provider } from '../../src/domain/routing/provider.js';
import { startSandbox } from '../../src/sandbox/server.js';

const BODY_BYTES_MAX = 8 * 1_048_576;
/** Of models that anything was asked of. */
const MODELS_MAX = 100;

/** The four providers, simulated, with a say in how single models fare. */
export interface DemoProviders {
  /** In the form that each provider's own SDK takes. */
  readonly baseUrls: Readonly<Record<Provider, string>>;
  /** What the sandbox is to do with every call of the model, such as `status=503`; null: nothing out of the ordinary. */
  direct(model: string, directive: string | null): void;
  /** How many calls have reached the model. */
  asked(model: string): number;
  close(): Promise<void>;
}

export interface DoorOptions {
  /** Takes the sandbox's mark off its answers, so that they are taken for a provider's. For tests alone. */
  readonly unmarked?: boolean;
}

/**
 * The sandbox, behind a door: a client's own directive would hold for every model that its call is tried on, and the
 * story is about one model that fails while others do not.
 */
export async function startProviders({
  unmarked = false,
}: DoorOptions = {}): Promise<DemoProviders> {
  const sandbox = await startSandbox();
  const directives = new Map<string, string>();
  const counts = new Map<string, number>();
  const sandboxUrl = new URL(sandbox.origin);
  const server = createServer({ noDelay: true }, (from, to) => {
    void passOn(from, to).catch(() => to.destroy());
  });

  const passOn = async (from: IncomingMessage, to: ServerResponse): Promise<void> => {
    const body = await readAll(from);
    const model = modelOf(from.url ?? '', body);
    if (model !== null && (counts.has(model) || counts.size < MODELS_MAX)) {
      counts.set(model, (counts.get(model) ?? 0) + 1);
    }
    const directive = model === null ? undefined : directives.get(model);
    const headers = { ...from.headers, host: sandboxUrl.host };
    const { hostname, port } = sandboxUrl;
    const onward = request(
      {
        hostname,
        port,
        path: from.url,
        method: from.method,
        headers: directive === undefined ? headers : { ...headers, 'x-sandbox': directive },
      },
      (answer) => {
        if (unmarked) delete answer.headers['x-shunt-sandbox'];
        to.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(to);
        answer.once('error', () => to.destroy());
      },
    );
    onward.once('error', () => to.destroy());
    to.once('close', () => onward.destroy());
    onward.end(body);
  };

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    baseUrls: {
      openai: `${origin}/openai/v1`,
      anthropic: `${origin}/anthropic`,
      google: `${origin}/google`,
      groq: `${origin}/groq`,
    },
    direct(model, directive) {
      if (directive === null) directives.delete(model);
      else directives.set(model, directive);
    },
    asked: (model) => counts.get(model) ?? 0,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await sandbox.close();
    },
  };
}

async function readAll(from: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of from) {
    bytes += (part as Buffer).length;
    if (bytes > BODY_BYTES_MAX) throw new Error('the body is too large');
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts);
}

function modelOf(path: string, body: Buffer): string | null {
  const inPath = /\/models\/([^:/?]+):/.exec(path)?.[1];
  if (inPath !== undefined) return decodeURIComponent(inPath);
  try {
    const { model } = JSON.parse(body.toString()) as { model?: unknown };
    return typeof model === 'string' ? model : null;
  } catch {
    return null;
  }
}
