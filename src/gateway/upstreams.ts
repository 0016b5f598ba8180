import { Pool } from 'undici';
import { PROVIDERS, type Provider } from '../domain/routing/provider.js';
import type { Upstream } from './call.js';
import type { UpstreamLimits } from './stages/forward.js';

/** Idle connections to a provider are closed before the provider closes them: a call must not meet a dead one. */
const IDLE_CONNECTION_MS = 20_000;
const RESPONSE_HEADER_BYTES_MAX = 65_536;

/** The connections to the providers, and to the sandbox. Base URLs come from the operator, never from a request. */
export class Upstreams {
  private readonly real: Readonly<Record<Provider, Upstream>>;
  private readonly sandbox: Readonly<Record<Provider, Upstream>> | null;

  constructor(
    real: Readonly<Record<Provider, string>>,
    sandbox: Readonly<Record<Provider, string>> | null,
    limits: UpstreamLimits,
  ) {
    this.real = upstreams(real, limits, false);
    this.sandbox = sandbox === null ? null : upstreams(sandbox, limits, true);
  }

  of(provider: Provider, sandbox: boolean): Upstream {
    return sandbox && this.sandbox !== null ? this.sandbox[provider] : this.real[provider];
  }

  async close(): Promise<void> {
    const all = [...Object.values(this.real), ...Object.values(this.sandbox ?? {})];
    await Promise.all(all.map(({ pool }) => pool.destroy()));
  }
}

function upstreams(
  baseUrls: Readonly<Record<Provider, string>>,
  limits: UpstreamLimits,
  synthetic: boolean,
): Readonly<Record<Provider, Upstream>> {
  const entries = PROVIDERS.map((provider) => [
    provider,
    upstream(baseUrls[provider], limits, synthetic),
  ]);
  return Object.fromEntries(entries) as Record<Provider, Upstream>;
}

function upstream(baseUrl: string, limits: UpstreamLimits, synthetic: boolean): Upstream {
  const { origin, pathname } = new URL(baseUrl);
  const pool = new Pool(origin, {
    // One request at a time on a connection: a slow answer must not hold up another call.
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: IDLE_CONNECTION_MS,
    maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
    connect: { timeout: limits.connectMs },
  });
  return { pool, basePath: pathname.replace(/\/+$/, ''), synthetic };
}
