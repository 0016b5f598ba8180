import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Authentication, Principal } from '../modules/api-keys/principal.js';
import type { Permit } from '../modules/limits/request-limiter.js';
import type { Arrival, Authenticated, Planned } from './call.js';
import type { CallAccountant } from './call-accountant.js';
import { Refusal } from './gateway-error.js';
import { admit, type AdmitContext } from './stages/admit.js';
import { FallbackChain } from './stages/fallback.js';
import { forward, type UpstreamLimits } from './stages/forward.js';
import { plan, type PlanContext } from './stages/plan.js';
import { arrive } from './stages/recognise.js';
import { refuse } from './stages/refuse.js';
import { Relay, type Settlement } from './stages/relay.js';

/** What the pipeline needs of the rest of the system. */
export interface GatewayContext extends AdmitContext, Omit<PlanContext, 'undecided'> {
  findPrincipal(token: string): Authentication | Promise<Authentication>;
  takePermit(principal: Principal): Permit | Promise<Permit>;
  readonly accountant: CallAccountant;
  readonly limits: UpstreamLimits;
}

/**
 * The story of a request:
 * authenticate -> limit -> policy -> plan -> forward (again, where a routed attempt fails) -> relay -> meter -> record.
 * Nothing in it waits for a database, but the first call of a key that is not in memory yet.
 */
export class GatewayPipeline {
  private readonly planning: PlanContext;

  constructor(private readonly context: GatewayContext) {
    this.planning = {
      ...context,
      undecided: (call, error) => context.accountant.undecided(call, error),
    };
  }

  async handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const arrival = arrive(req, res);
    let caller: Authenticated | Refusal | null = null;
    try {
      caller = await this.authenticate(arrival);
      if (caller instanceof Refusal) return this.turnAway(arrival, arrival.fault ?? caller);
      await this.carryOut(caller);
    } catch (error) {
      this.context.accountant.crashed(arrival, error);
      const internal = new Refusal('internal');
      if (caller === null || caller instanceof Refusal) this.turnAway(arrival, internal);
      else this.refuseCall(caller, internal);
    }
  }

  private async carryOut(caller: Authenticated): Promise<void> {
    const { accountant } = this.context;
    const refusal = accountant.open(caller) ?? (await this.limit(caller)) ?? caller.fault;
    if (refusal !== null) return this.refuseCall(caller, refusal);

    const admitted = await admit(caller, this.context);
    if (admitted instanceof Refusal) return this.refuseCall(caller, admitted);

    const plans = plan(admitted, this.planning);
    const planned = plans instanceof Promise ? await plans : plans;
    accountant.started(planned, () => this.send(planned));
  }

  /** Runs once the start record is written. */
  private send(planned: Planned): void {
    const { accountant, limits } = this.context;
    const relay = new Relay(planned, {
      settled: (settlement, release) =>
        accountant.settled(planned, settlement, () => {
          release();
          this.explainFailure(planned, settlement);
        }),
      fault: (error) => accountant.crashed(planned, error),
      isCutting: () => accountant.isCutting,
    });
    // The client may have gone while its key was looked up: nobody would be told again.
    if (planned.res.destroyed) return relay.clientClosed();
    try {
      if (planned.fallbacks.length > 0) return this.tryInTurn(planned, relay);
      accountant.begun(planned, planned.attempt);
      forward(planned, planned.attempt, relay, limits);
    } catch (error) {
      accountant.crashed(planned, error);
      relay.unsent();
    }
    accountant.sent(planned);
  }

  private tryInTurn(planned: Planned, relay: Relay): void {
    const { accountant, limits } = this.context;
    new FallbackChain(planned, relay, {
      limits,
      context: this.context,
      mayRoute: () => this.context.mayRoute(planned.principal.standing),
      begun: (attempt) => accountant.begun(planned, attempt),
      failed: (failed) => accountant.attemptFailed(planned, failed),
      // The body is needed until then.
      decided: () => accountant.sent(planned),
      fault: (error) => accountant.crashed(planned, error),
    }).start();
  }

  /** Where the provider gave no answer, the client gets Shunt's. */
  private explainFailure(call: Planned, { errorCode, status, outcome }: Settlement): void {
    if (status !== null || outcome === 'client_aborted') return;
    const envelope = { requestId: call.requestId, envelope: call.route.envelope };
    refuse(call.req, call.res, envelope, new Refusal(errorCode ?? 'upstream_unreachable'));
  }

  private async authenticate(arrival: Arrival): Promise<Authenticated | Refusal> {
    if (arrival.token === null) return new Refusal('missing_key');
    const found = this.context.findPrincipal(arrival.token);
    const authentication = found instanceof Promise ? await found : found;
    switch (authentication.kind) {
      case 'known':
        return authenticated(arrival, authentication.principal);
      case 'revoked':
        return new Refusal('revoked_key');
      case 'unknown':
        return new Refusal('unknown_key');
      case 'unavailable':
        return new Refusal('key_check_unavailable', 5);
    }
  }

  private async limit(call: Authenticated): Promise<Refusal | null> {
    const taken = this.context.takePermit(call.principal);
    const permit = taken instanceof Promise ? await taken : taken;
    if (permit.allowed) return null;
    return new Refusal('rate_limit_exceeded', Math.max(1, Math.ceil(permit.retryAfterMs / 1_000)));
  }

  /** A caller that is not known has no organization, and so no record. */
  private turnAway(arrival: Arrival, refusal: Refusal): void {
    this.context.accountant.turnedAway(arrival, refusal);
    refuse(
      arrival.req,
      arrival.res,
      { requestId: arrival.requestId, envelope: arrival.route.envelope },
      refusal,
    );
  }

  private refuseCall(call: Authenticated, refusal: Refusal): void {
    const envelope = { requestId: call.requestId, envelope: call.route.envelope };
    this.context.accountant.refused(call, refusal, () =>
      refuse(call.req, call.res, envelope, refusal),
    );
  }
}

function authenticated(arrival: Arrival, principal: Principal): Authenticated {
  return { ...arrival, principal, mode: principal.standing.status };
}
