import { describe, expect, it } from 'vitest';
import { decide } from './decide.js';
import {
  BARRIERS,
  ROUTING_VERSION,
  type CandidateState,
  type RouteDecision,
  type RoutingInputs,
  type Target,
} from './decision.js';

const DEAR: Target = { provider: 'openai', model: 'dear' };
const CHEAP: Target = { provider: 'openai', model: 'cheap' };
const OTHER: Target = { provider: 'openai', model: 'other' };
const SPARE: Target = { provider: 'groq', model: 'spare' };

const state = (target: Target, change: Partial<CandidateState> = {}): CandidateState => ({
  ...target,
  ineligible: [],
  breaker: 'closed',
  coolingDown: false,
  expectedSessionNanoUsd: '100',
  ...change,
});
const rule = (...targets: Target[]): RoutingInputs['evidence'] => ({
  kind: 'rule',
  ruleId: 'r',
  targets,
});
const inputsOf = (change: Partial<RoutingInputs> = {}): RoutingInputs => ({
  version: ROUTING_VERSION,
  mayRoute: true,
  requested: state(DEAR, { expectedSessionNanoUsd: '1000' }),
  auto: false,
  override: null,
  off: null,
  control: false,
  evidence: rule(CHEAP, OTHER),
  session: null,
  candidates: [state(CHEAP), state(OTHER, { expectedSessionNanoUsd: '200' }), state(SPARE)],
  fallbackChain: [],
  ...change,
});
const at = (route: Target, gotHarder = false): RoutingInputs['session'] => ({ route, gotHarder });
/** The cheap candidate as it is changed here, beside the others. */
const withCheap = (change: Partial<CandidateState>): readonly CandidateState[] => [
  state(CHEAP, change),
  state(OTHER, { expectedSessionNanoUsd: '200' }),
];

describe('decide', () => {
  it('sends a call to the cheapest model that a rule names, and back to the requested one on failure', () => {
    expect(decide(inputsOf())).toEqual({
      decision: 'classifier',
      target: CHEAP,
      reason: 'rule',
      wouldRoute: CHEAP,
      fallbacks: [DEAR],
    });
  });

  it.each<[RouteDecision['decision'], RouteDecision['reason'], Partial<RoutingInputs>]>([
    ['passthrough', 'routing_off', { mayRoute: false, override: CHEAP, control: true }],
    ['passthrough', 'opted_out', { off: 'header', override: CHEAP }],
    ['passthrough', 'opted_out', { off: 'project' }],
    ['abstain', 'no_evidence', { evidence: { kind: 'none' }, control: true }],
    ['abstain', 'none_eligible', { evidence: rule(), session: at(CHEAP) }],
    ['abstain', 'none_eligible', { evidence: rule(DEAR) }],
    ['abstain', 'none_eligible', { candidates: [] }],
    ['abstain', 'no_saving_expected', { requested: state(DEAR) }],
    ['abstain', 'no_saving_expected', { requested: state(DEAR, { expectedSessionNanoUsd: null }) }],
    ['session', 'session_harder', { session: at(CHEAP, true) }],
    ['session', 'session_switches', { session: at(CHEAP), requested: state(DEAR) }],
    ['control', 'control_group', { control: true }],
  ])('stays with the requested model: %s, %s', (decision, reason, change) => {
    expect(decide(inputsOf(change))).toMatchObject({ decision, reason, target: DEAR });
  });

  it.each<[string, Partial<CandidateState>]>([
    ['ineligible', { ineligible: ['tools'] }],
    ['not allowed', { ineligible: ['not_allowed'] }],
    ['of unknown price', { expectedSessionNanoUsd: null }],
    ['of a price that is no amount', { expectedSessionNanoUsd: '-1' }],
    ['open', { breaker: 'open' }],
    ['half-open', { breaker: 'half_open' }],
    ['cooling down', { coolingDown: true }],
  ])('takes the next one where the cheapest is %s, within a session too', (_, change) => {
    const candidates = withCheap(change);
    expect(decide(inputsOf({ candidates }))).toMatchObject({ target: OTHER, reason: 'rule' });
    expect(decide(inputsOf({ candidates, session: at(CHEAP) }))).toMatchObject({
      decision: 'session',
      target: OTHER,
      reason: 'session_switches',
    });
  });

  it('keeps a session on its route until the dollars speak against it', () => {
    const held = inputsOf({ session: at(OTHER), candidates: withCheap({}) });
    const even = { ...held, candidates: withCheap({ expectedSessionNanoUsd: '200' }) };
    expect(decide(even)).toMatchObject({
      decision: 'session',
      target: OTHER,
      reason: 'session_holds',
      wouldRoute: OTHER,
    });
    expect(decide(held)).toMatchObject({ target: CHEAP, reason: 'session_switches' });
  });

  it('goes up without a cost argument, and down again only by the arithmetic of a later call', () => {
    expect(decide(inputsOf({ session: at(CHEAP, true) })).wouldRoute).toBeNull();
    const later = inputsOf({ session: at(DEAR) });
    expect(decide(later)).toMatchObject({ target: CHEAP, reason: 'session_switches' });
    expect(decide({ ...later, requested: state(DEAR) }).target).toEqual(DEAR);
  });

  it('serves exactly the override, eligible or not, unless policy bars it', () => {
    const unfit = inputsOf({ override: CHEAP, candidates: withCheap({ ineligible: ['tools'] }) });
    expect(decide(unfit)).toEqual({
      decision: 'override',
      target: CHEAP,
      reason: 'override',
      wouldRoute: null,
      fallbacks: [],
    });
    expect(decide(inputsOf({ override: DEAR })).decision).toBe('override');
    for (const barrier of BARRIERS) {
      const barred = withCheap({ ineligible: [barrier] });
      expect(decide(inputsOf({ override: CHEAP, candidates: barred }))).toMatchObject({
        decision: 'abstain',
        target: DEAR,
      });
    }
    const unheardOf = { provider: 'openai', model: 'unheard-of' } as const;
    expect(decide(inputsOf({ override: unheardOf })).target).toEqual(DEAR);
  });

  it('says where a control session would have gone', () => {
    expect(decide(inputsOf({ control: true }))).toMatchObject({ target: DEAR, wouldRoute: CHEAP });
    const nowhere = inputsOf({ control: true, candidates: [] });
    expect(decide(nowhere)).toMatchObject({ decision: 'control', wouldRoute: null });
  });

  it('falls back to the requested model, then along the project’s chain, two at most', () => {
    const fallbackChain = [SPARE, DEAR, OTHER, CHEAP];
    expect(decide(inputsOf({ fallbackChain })).fallbacks).toEqual([DEAR, SPARE]);
    const open = state(DEAR, { expectedSessionNanoUsd: '1000', breaker: 'open' });
    expect(decide(inputsOf({ fallbackChain, requested: open })).fallbacks).toEqual([SPARE, OTHER]);
    const abstained = inputsOf({ fallbackChain, evidence: { kind: 'none' } });
    expect(decide(abstained).fallbacks).toEqual([SPARE, OTHER]);
  });

  it('tries the requested model all the same where every other one is out', () => {
    const requested = state(DEAR, { expectedSessionNanoUsd: '1000', breaker: 'open' });
    const chain = { requested, fallbackChain: [SPARE] };
    const candidates = [state(CHEAP), state(SPARE, { breaker: 'open' })];
    expect(decide(inputsOf({ ...chain, candidates })).fallbacks).toEqual([DEAR]);
    const allOpen = candidates.map((one) => ({ ...one, breaker: 'open' as const }));
    expect(decide(inputsOf({ ...chain, candidates: allOpen }))).toMatchObject({
      target: DEAR,
      fallbacks: [],
    });
  });

  it('breaks ties by name, and never chooses a model that is described twice', () => {
    const even = [state(OTHER), state(CHEAP)];
    expect(decide(inputsOf({ candidates: even })).target).toEqual(CHEAP);
    const twice = [state(CHEAP), state(CHEAP, { ineligible: ['not_allowed'] }), state(OTHER)];
    expect(decide(inputsOf({ candidates: twice })).target).toEqual(OTHER);
  });
});
