export type Permit =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly retryAfterMs: number; readonly limitPerMinute: number };

/** Sliding window of one minute over the calls of one organization, whichever of its keys is used. */
export abstract class RequestLimiter {
  /** Decides without a round trip; a promise is returned only when a lease has run dry. */
  abstract take(orgId: string, limitPerMinute: number): Permit | Promise<Permit>;
}
