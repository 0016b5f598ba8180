import type { RouteDecision, RoutingInputs } from '../../domain/routing/decision.js';
import type { Provider } from '../../domain/routing/provider.js';
import type { SessionState } from '../../domain/routing/session-state.js';
import type { Principal } from '../api-keys/principal.js';
import type { RequestHeaders } from '../classifier/request-headers.js';
import type { Sighting } from '../classifier/sighting.js';
import type { ExplicitCache } from '../session-routing/cache-rules.js';
import type { ProbeTicket } from './attempt-watch.js';

/** A call as the router sees it. */
export interface RoutingRequest {
  readonly principal: Principal;
  readonly provider: Provider;
  /** What the client asked for; for `shunt/auto` the project's default model. */
  readonly requested: string;
  readonly auto: boolean;
  readonly override: string | null;
  /** `x-shunt-route: off`. */
  readonly isOff: boolean;
  /** The bytes that name the model are known: it can be replaced. */
  readonly isReplaceable: boolean;
  readonly headers: RequestHeaders;
  readonly sighting: Sighting;
  /** The parsed body, whole or clipped. */
  readonly body: unknown;
  readonly bodyBytes: number;
  readonly atMs: number;
  /** Asked as late as possible: the answer may change while a session is looked up. */
  mayRoute(): boolean;
}

/** What was decided, and from what: stored with the record as it is. */
export interface Routing {
  readonly inputs: RoutingInputs;
  readonly decision: RouteDecision;
  readonly sighting: Sighting;
  readonly size: PromptSize;
  /** The call is the one that a half-open breaker lets try. */
  readonly ticket: ProbeTicket | null;
}

/** The call's size and its session's, as far as money depends on them. */
export interface PromptSize {
  /** What the request itself says of caching. */
  readonly explicit: ExplicitCache;
  readonly atMs: number;
  /** Of the prompt at hand, about. */
  readonly promptTokens: number;
  readonly state: SessionState | null;
}
