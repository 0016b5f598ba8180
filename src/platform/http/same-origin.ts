import type { FastifyRequest } from 'fastify';

/** What a browser says of where a request comes from; no page can forge these headers. */
export interface RequestSource {
  readonly origin: string | undefined;
  readonly secFetchSite: string | undefined;
}

/**
 * True where the request comes from a page of one of these origins. Without an `Origin` header the browser's
 * `Sec-Fetch-Site: same-origin` will do; with neither nothing is known, and the answer is no.
 */
export function isFromOrigin(source: RequestSource, accepted: readonly string[]): boolean {
  if (source.origin !== undefined) return accepted.includes(source.origin);
  return source.secFetchSite === 'same-origin';
}

export function sourceOf(request: FastifyRequest): RequestSource {
  const { origin, 'sec-fetch-site': site } = request.headers;
  return { origin, secFetchSite: typeof site === 'string' ? site : undefined };
}

/**
 * The origin that a request was sent to: the configured one, else scheme and host as the request, or a trusted
 * proxy before it, tells them. Null where that is no origin.
 */
export function ownOrigin(request: FastifyRequest, publicUrl: string | null): string | null {
  const origin = URL.parse(publicUrl ?? `${request.protocol}://${request.host}`)?.origin;
  // The word that a URL of another scheme has for it, and a sandboxed page of anybody for its own.
  return origin === undefined || origin === 'null' ? null : origin;
}
