/** What stands behind the gateway. `unreachable` says why. */
export type UpstreamKind =
  | { readonly kind: 'sandbox' }
  | { readonly kind: 'real' }
  | { readonly kind: 'unreachable'; readonly message: string };

/**
 * Reads the gateway's answer to `GET /readyz`. Only what says that it is a sandbox is one: whatever else answers is
 * treated as real, for real calls cost money.
 */
export function upstreamOf(
  headers: Readonly<Record<string, unknown>>,
  body: string,
): 'sandbox' | 'real' {
  if (headers['x-shunt-sandbox'] === '1') return 'sandbox';
  try {
    const state = JSON.parse(body) as { upstream?: unknown } | null;
    return state?.upstream === 'sandbox' ? 'sandbox' : 'real';
  } catch {
    return 'real';
  }
}
