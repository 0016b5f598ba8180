import { existsSync } from 'node:fs';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { SANDBOX_KEY, startTestSandbox } from '../../support/sandbox.js';

/** One way to reach the providers: where each SDK's base URL points, and the key it is given. */
export interface Reach {
  readonly openai: string;
  readonly anthropic: string;
  readonly google: string;
  readonly groq: string;
  /** Groq's and Google's OpenAI-compatible endpoints, for the OpenAI SDK. */
  readonly groqForOpenAi: string;
  readonly googleForOpenAi: string;
  readonly key: string;
  /** Where the sandbox behind it counts requests; null where it cannot be asked. */
  readonly sandboxOrigin: string | null;
}

/** What `startGateway` of test/support/gateway.ts returns. */
interface RunningGateway {
  readonly origin: string;
  readonly projectKey: string;
  readonly sandboxOrigin?: string;
  stop(): Promise<void>;
}

const GATEWAY_SUPPORT = new URL('../../support/gateway.ts', import.meta.url);

export const WAY_NAMES = ['direct', 'gateway', 'gateway, short paths'] as const;
export type WayName = (typeof WAY_NAMES)[number];

/** The ways that exist in this checkout. */
export const WAYS: readonly WayName[] = existsSync(GATEWAY_SUPPORT) ? WAY_NAMES : ['direct'];

/** All ways, started once for a spec file. */
export class Ways {
  private constructor(
    private readonly sandbox: Sandbox,
    private readonly gateway: RunningGateway | null,
  ) {}

  static async start(): Promise<Ways> {
    const sandbox = await startTestSandbox();
    return new Ways(sandbox, WAYS.length > 1 ? await startGateway() : null);
  }

  async stop(): Promise<void> {
    await this.gateway?.stop();
    await this.sandbox.close();
  }

  to(way: WayName): Reach {
    if (way === 'direct') return this.direct();
    if (this.gateway === null) throw new Error('No gateway in this checkout.');
    const { origin, projectKey, sandboxOrigin } = this.gateway;
    const short = way === 'gateway, short paths';
    return {
      openai: short ? `${origin}/v1` : `${origin}/openai/v1`,
      anthropic: short ? origin : `${origin}/anthropic`,
      google: `${origin}/google`,
      groq: `${origin}/groq`,
      groqForOpenAi: `${origin}/groq/openai/v1`,
      googleForOpenAi: `${origin}/google/v1beta/openai`,
      key: projectKey,
      sandboxOrigin: sandboxOrigin ?? null,
    };
  }

  private direct(): Reach {
    const { baseUrls, origin } = this.sandbox;
    return {
      ...baseUrls,
      groqForOpenAi: `${baseUrls.groq}/openai/v1`,
      googleForOpenAi: `${baseUrls.google}/v1beta/openai`,
      key: SANDBOX_KEY,
      sandboxOrigin: origin,
    };
  }
}

async function startGateway(): Promise<RunningGateway> {
  // A variable path: the module may not be there, and then nothing may fail to compile.
  const file = GATEWAY_SUPPORT.pathname;
  const support = (await import(/* @vite-ignore */ file)) as {
    startGateway(): Promise<RunningGateway>;
  };
  return support.startGateway();
}
