import type { Sandbox } from '../../../src/sandbox/server.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
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
}

export const WAYS = ['direct', 'gateway', 'gateway, short paths'] as const;
export type WayName = (typeof WAYS)[number];

/** All ways, started once for a spec file; all of them end at the same sandbox. */
export class Ways {
  private constructor(
    readonly sandbox: Sandbox,
    private readonly gateway: TestGateway,
  ) {}

  static async start(): Promise<Ways> {
    const sandbox = await startTestSandbox();
    try {
      return new Ways(sandbox, await startGateway({ env: upstreamsAt(sandbox) }));
    } catch (error) {
      await sandbox.close();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.gateway.stop();
    await this.sandbox.close();
  }

  to(way: WayName): Reach {
    if (way === 'direct') {
      const { baseUrls } = this.sandbox;
      return {
        ...baseUrls,
        groqForOpenAi: `${baseUrls.groq}/openai/v1`,
        googleForOpenAi: `${baseUrls.google}/v1beta/openai`,
        key: SANDBOX_KEY,
      };
    }
    const { origin, projectKey } = this.gateway;
    const short = way === 'gateway, short paths';
    return {
      openai: short ? `${origin}/v1` : `${origin}/openai/v1`,
      anthropic: short ? origin : `${origin}/anthropic`,
      google: `${origin}/google`,
      groq: `${origin}/groq`,
      groqForOpenAi: `${origin}/groq/openai/v1`,
      googleForOpenAi: `${origin}/google/v1beta/openai`,
      key: projectKey,
    };
  }
}

// With provider keys of its own the organization uses the upstreams that the operator names: this sandbox.
function upstreamsAt({ baseUrls }: Sandbox): Record<string, string> {
  return {
    OPENAI_BASE_URL: baseUrls.openai,
    ANTHROPIC_BASE_URL: baseUrls.anthropic,
    GOOGLE_BASE_URL: baseUrls.google,
    GROQ_BASE_URL: baseUrls.groq,
    OPENAI_API_KEY: 'sk-gateway',
    ANTHROPIC_API_KEY: 'sk-gateway',
    GEMINI_API_KEY: 'sk-gateway',
    GROQ_API_KEY: 'sk-gateway',
  };
}
