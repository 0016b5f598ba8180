import { describe, expect, it } from 'vitest';
import { decide } from './decide.js';
import { ROUTING_VERSION, type CandidateState, type RoutingInputs } from './decision.js';
import { replay } from './replay.js';

const DEAR: CandidateState = {
  provider: 'openai',
  model: 'dear',
  ineligible: [],
  breaker: 'closed',
  coolingDown: false,
  expectedSessionNanoUsd: '1000',
};
const CHEAP: CandidateState = { ...DEAR, model: 'cheap', expectedSessionNanoUsd: '100' };
const INPUTS: RoutingInputs = {
  version: ROUTING_VERSION,
  mayRoute: true,
  requested: DEAR,
  auto: false,
  override: null,
  off: null,
  control: false,
  evidence: { kind: 'rule', ruleId: 'r', targets: [{ provider: 'openai', model: 'cheap' }] },
  session: null,
  candidates: [CHEAP],
  fallbackChain: [],
};
const stored = (change: object, decision: unknown = null): unknown =>
  JSON.parse(JSON.stringify({ inputs: { ...INPUTS, ...change }, decision }));

describe('replay', () => {
  it('decides anew, and does not look at the stored decision', () => {
    const forged = { ...decide(INPUTS), target: { provider: 'openai', model: 'forged' } };
    expect(replay(stored({}, forged))).toEqual(decide(INPUTS));
  });

  it('does not depend on what became of the attempts', () => {
    const decided = stored({}) as object;
    const after = { excluded: 'unpriceable', unknownCostAttempts: 1 };
    expect(replay({ ...decided, ...after })).toEqual(decide(INPUTS));
    expect(replay({ ...decided, another: 1 })).toBeNull();
  });

  it.each<[string, unknown]>([
    ['nothing', null],
    ['another shape', []],
    ['no decision beside the inputs', { inputs: INPUTS }],
    ['rules of another version', stored({ version: 'routing-1' })],
    ['a field too many', stored({ extra: 1 })],
    ['a field too few', stored({ control: undefined })],
    ['a flag that is a word', stored({ control: 'true' })],
    ['a word outside its list', stored({ off: 'maybe' })],
    ['a provider outside its list', stored({ override: { provider: 'x', model: 'y' } })],
    ['an amount that is a number', stored({ requested: { ...DEAR, expectedSessionNanoUsd: 5 } })],
    ['an amount below zero', stored({ requested: { ...DEAR, expectedSessionNanoUsd: '-5' } })],
    ['an obstacle outside its list', stored({ requested: { ...DEAR, ineligible: ['x'] } })],
    ['a breaker outside its list', stored({ requested: { ...DEAR, breaker: 'ajar' } })],
    ['too many candidates', stored({ candidates: Array.from({ length: 65 }, () => CHEAP) })],
    ['a name too long', stored({ override: { provider: 'openai', model: 'm'.repeat(2_000) } })],
    ['evidence of an unknown kind', stored({ evidence: { kind: 'measured' } })],
    ['evidence with more than its kind', stored({ evidence: { kind: 'none', x: 1 } })],
    ['a session with more than its route', stored({ session: { route: CHEAP, gotHarder: false } })],
  ])('reads %s as not replayable', (_, value) => {
    expect(replay(stored({}))).not.toBeNull();
    expect(replay(value)).toBeNull();
  });
});
