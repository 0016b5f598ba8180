import { request } from 'undici';
import type { Api, ReplayOptions } from './options.js';

const PROBE_TIMEOUT_MS = 30_000;

/** What stands behind the gateway for this key. */
export type UpstreamKind =
  | { readonly kind: 'sandbox' }
  | { readonly kind: 'real' }
  /** The gateway does not know the key. */
  | { readonly kind: 'key_refused' }
  | { readonly kind: 'unreachable'; readonly reason: string };

const MODEL_LISTS: Readonly<Record<Api, string>> = {
  openai: '/openai/v1/models',
  anthropic: '/anthropic/v1/models',
  google: '/google/v1beta/models',
  groq: '/groq/openai/v1/models',
};

/** Asks for the list of models, which is free everywhere, with the key and over the API that the calls will use. */
export async function probeUpstream(options: ReplayOptions): Promise<UpstreamKind> {
  const { url, api, key } = options;
  try {
    const { statusCode, headers, body } = await request(url + MODEL_LISTS[api], {
      headers: { ...keyHeader(api, key), 'anthropic-version': '2026-10-21' },
      headersTimeout: PROBE_TIMEOUT_MS,
      bodyTimeout: PROBE_TIMEOUT_MS,
    });
    await body.dump();
    return { kind: upstreamOf(statusCode, headers) };
  } catch (error) {
    const { code, message } = error as { code?: string; message?: string };
    return { kind: 'unreachable', reason: code ?? message ?? 'unknown error' };
  }
}

/**
 * Only an answer that says that a simulation made it comes from one: whatever else answers is treated as real, for real
 * calls cost money.
 */
export function upstreamOf(
  status: number,
  headers: Readonly<Record<string, unknown>>,
): 'sandbox' | 'real' | 'key_refused' {
  if (headers['x-shunt-synthetic'] === 'true' || headers['x-shunt-sandbox'] === '1') {
    return 'sandbox';
  }
  return status === 401 ? 'key_refused' : 'real';
}

/** The header in which the API's SDK sends its key. */
export function keyHeader(api: Api, key: string): Readonly<Record<string, string>> {
  switch (api) {
    case 'openai':
    case 'groq':
      return { authorization: `Bearer ${key}` };
    case 'anthropic':
      return { 'x-api-key': key };
    case 'google':
      return { 'x-goog-api-key': key };
  }
}
