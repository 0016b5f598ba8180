import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Pool } from 'undici';
import type { Target } from '../domain/routing/decision.js';
import type { Provider } from '../domain/routing/provider.js';
import type { SubscriptionStatus } from '../domain/subscription/status.js';
import type { Principal } from '../modules/api-keys/principal.js';
import type { Route } from '../modules/providers/routes.js';
import type { Decision } from '../modules/records/call-record.js';
import type { Routing } from '../modules/routing/routing-request.js';
import type { PrefixUse } from '../modules/session-routing/shared-prefixes.js';
import type { Payload } from './body/payload.js';
import type { RequestFacts } from './body/request-facts.js';
import type { Refusal } from './gateway-error.js';

/** A call as it stands after each step. Each step needs the type the step before returns. */

/** It came in on a path of the gateway. */
export interface Arrival {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** UUIDv7; `startedAtMs` is the time inside it. */
  readonly requestId: string;
  readonly startedAtMs: number;
  /** Monotonic, milliseconds (`performance.now`). */
  readonly startedAt: number;
  readonly route: Route;
  /** Its path or method is none of the gateway's: it goes no further than its caller's name. */
  readonly fault: Refusal | null;
  /** Without the Shunt key; with its question mark, or empty. */
  readonly query: string;
  readonly token: string | null;
}

/** Its caller is known. */
export interface Authenticated extends Arrival {
  readonly principal: Principal;
  /** The organization's status when the call came in; it stays the call's, whatever becomes of the organization's. */
  readonly mode: SubscriptionStatus;
}

/** It is within limits and policy, and its body (where it must be read) is in memory. */
export interface Admitted extends Authenticated {
  /** Null where the body is relayed as a stream. */
  readonly payload: Payload | null;
  readonly facts: RequestFacts | null;
  /** As the client named it, `shunt/auto` included; without the prefix that Google's names may have. */
  readonly model: string | null;
  /** The model that this stands for: itself, or for `shunt/auto` the project's default model. It is the baseline. */
  readonly requested: string | null;
  /** `x-shunt-model`: exactly this one is to serve. */
  readonly override: string | null;
  readonly streamed: boolean;
}

/** It is decided what is sent where. */
export interface Planned extends Admitted {
  readonly decision: Decision;
  /** What the router decided, and from what; null where it has no say. */
  readonly routing: Routing | null;
  /** For the ledger's baseline; null where its model would share none. */
  readonly sharedPrefix: SharedPrefix | null;
  readonly attempt: Attempt;
  /** Where it goes next, should that fail before its first byte; none outside the statuses that route. */
  readonly fallbacks: readonly Target[];
}

/** The beginning of a prompt that other sessions may have left in the requested model's cache. */
export interface SharedPrefix {
  readonly use: PrefixUse;
  /** How many checkpoints the prompt reaches. */
  readonly checkpoints: number;
  /** Of tools and system prompt, and whatever else is no message: no less than they are. */
  readonly leadingBytes: number;
  /** Of the whole request. */
  readonly bodyBytes: number;
}

/** One way of carrying a call out: a model, and what is sent to its provider. The body waits in the payload. */
export interface Attempt {
  /** 0 is what was decided; further ones are fallbacks. */
  readonly number: number;
  readonly provider: Provider;
  readonly model: string | null;
  readonly upstream: Upstream;
  /** Below `Upstream.basePath`, with its query. */
  readonly path: string;
  /** Name, value, name, value: as undici takes them. */
  readonly headers: string[];
  /** Usage was asked for on the client's behalf, and is taken out of the answer again. */
  readonly injected: boolean;
}

/** Where a provider's calls go. */
export interface Upstream {
  readonly pool: Pool;
  /** What precedes `Route.upstreamPath`, such as `/v1`. */
  readonly basePath: string;
  readonly synthetic: boolean;
}
