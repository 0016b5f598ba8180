import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide, isRouted } from './decide.js';
import {
  BARRIERS,
  BREAKER_STATES,
  OBSTACLES,
  ROUTING_VERSION,
  type CandidateState,
  type RoutingInputs,
  type Target,
} from './decision.js';
import { replay } from './replay.js';
import { sameTarget } from './session-state.js';

const POOL: readonly Target[] = [
  ...['a', 'b', 'c', 'd'].map((model) => ({ provider: 'openai' as const, model })),
  { provider: 'groq', model: 'a' },
];
const targets = fc.constantFrom(...POOL);
const amounts = fc.option(fc.bigInt({ min: 0n, max: 6n }).map(String));
const condition = fc.record({
  ineligible: fc.oneof(
    { weight: 4, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.uniqueArray(fc.constantFrom(...OBSTACLES), { maxLength: 3 }) },
  ),
  breaker: fc.oneof(
    { weight: 4, arbitrary: fc.constant('closed' as const) },
    { weight: 1, arbitrary: fc.constantFrom(...BREAKER_STATES) },
  ),
  coolingDown: fc.nat(6).map((roll) => roll === 0),
  expectedSessionNanoUsd: amounts,
});
const states: fc.Arbitrary<CandidateState> = fc
  .tuple(targets, condition)
  .map(([target, rest]) => ({ ...target, ...rest }));
const candidateLists = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.uniqueArray(states, {
      maxLength: 5,
      selector: ({ provider, model }) => `${provider}/${model}`,
    }),
  },
  { weight: 1, arbitrary: fc.array(states, { maxLength: 6 }) },
);
const rarely = fc.nat(7).map((roll) => roll === 0);
const inputs: fc.Arbitrary<RoutingInputs> = fc.record({
  version: fc.constant(ROUTING_VERSION),
  mayRoute: rarely.map((off) => !off),
  requested: states,
  auto: fc.boolean(),
  override: fc.oneof(
    { weight: 6, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: targets },
  ),
  off: fc.oneof(
    { weight: 6, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.constantFrom('header' as const, 'project' as const) },
  ),
  control: rarely,
  evidence: fc.oneof(
    { weight: 1, arbitrary: fc.constant({ kind: 'none' as const }) },
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('rule' as const),
        ruleId: fc.string({ maxLength: 36 }),
        targets: fc.array(targets, { maxLength: 6 }),
      }),
    },
  ),
  session: fc.option(fc.record({ route: targets, gotHarder: rarely })),
  candidates: candidateLists,
  fallbackChain: fc.array(targets, { maxLength: 4 }),
});
const RUNS = { numRuns: 3_000 };
const isRequested = ({ requested }: RoutingInputs, target: Target): boolean =>
  sameTarget(target, requested);
const described = (given: RoutingInputs, target: Target): readonly CandidateState[] =>
  given.candidates.filter((candidate) => sameTarget(candidate, target));

describe('whatever the inputs', () => {
  it('a call reaches the requested model, an override that nothing bars, or an eligible, ready, named candidate', () => {
    fc.assert(
      fc.property(inputs, (given) => {
        const { decision, target } = decide(given);
        if (isRequested(given, target)) return;
        const found = described(given, target);
        expect(found).toHaveLength(1);
        const [{ ineligible, breaker, coolingDown }] = found as [CandidateState];
        for (const barrier of BARRIERS) expect(ineligible).not.toContain(barrier);
        if (decision === 'override') {
          expect(target).toEqual(given.override);
          return;
        }
        expect({ ineligible, breaker, coolingDown }).toEqual({
          ineligible: [],
          breaker: 'closed',
          coolingDown: false,
        });
        const { evidence } = given;
        expect(evidence.kind === 'rule' && evidence.targets).toContainEqual(target);
      }),
      RUNS,
    );
  });

  it('a routed call is expected to cost less than the requested model, strictly', () => {
    let routed = 0;
    fc.assert(
      fc.property(inputs, (given) => {
        const decided = decide(given);
        if (!isRouted(given, decided)) return;
        routed += 1;
        const cost = described(given, decided.target)[0]?.expectedSessionNanoUsd ?? '';
        expect(BigInt(cost)).toBeLessThan(BigInt(given.requested.expectedSessionNanoUsd!));
        expect(decided.wouldRoute).toEqual(decided.target);
      }),
      RUNS,
    );
    expect(routed).toBeGreaterThan(100);
  });

  it('routing that is off, an opt-out, the control group and missing evidence leave the requested model', () => {
    fc.assert(
      fc.property(inputs, (given) => {
        const plain = { ...given, mayRoute: true, off: null, override: null };
        expect(isRequested(given, decide({ ...given, mayRoute: false }).target)).toBe(true);
        expect(isRequested(given, decide({ ...given, off: 'header' }).target)).toBe(true);
        expect(isRequested(given, decide({ ...plain, control: true }).target)).toBe(true);
        const unproven = decide({ ...plain, evidence: { kind: 'none' } });
        expect(isRequested(given, unproven.target)).toBe(true);
        expect(unproven.decision).toBe('abstain');
      }),
      RUNS,
    );
  });

  it('the control group changes who serves and not what would have been chosen', () => {
    fc.assert(
      fc.property(inputs, (given) => {
        const routed = decide({ ...given, control: false });
        expect(decide({ ...given, control: true }).wouldRoute).toEqual(routed.wouldRoute);
      }),
      RUNS,
    );
  });

  it('there are at most two fallbacks, each once, none the target, all fit for the call and allowed', () => {
    fc.assert(
      fc.property(inputs, (given) => {
        const { target, fallbacks } = decide(given);
        expect(fallbacks.length).toBeLessThanOrEqual(2);
        for (const [index, fallback] of fallbacks.entries()) {
          expect(sameTarget(fallback, target)).toBe(false);
          expect(fallbacks.findIndex((one) => sameTarget(one, fallback))).toBe(index);
          if (isRequested(given, fallback)) {
            for (const barrier of BARRIERS)
              expect(given.requested.ineligible).not.toContain(barrier);
            if (given.requested.breaker !== 'closed') expect(fallbacks).toHaveLength(1);
          } else {
            expect(described(given, fallback)).toMatchObject([
              { ineligible: [], breaker: 'closed', coolingDown: false },
            ]);
            expect(given.fallbackChain).toContainEqual(fallback);
          }
        }
      }),
      RUNS,
    );
  });

  it('the order in which candidates and a rule’s targets are listed changes nothing', () => {
    const shuffled = inputs.chain((given) =>
      fc.tuple(
        fc.constant(given),
        fc.shuffledSubarray([...given.candidates], { minLength: given.candidates.length }),
      ),
    );
    fc.assert(
      fc.property(shuffled, ([given, candidates]) => {
        const { evidence } = given;
        const turned =
          evidence.kind === 'none'
            ? evidence
            : { ...evidence, targets: [...evidence.targets].reverse() };
        expect(decide({ ...given, candidates, evidence: turned })).toEqual(decide(given));
      }),
      RUNS,
    );
  });

  it('the decision changes none of its inputs, and is the same again', () => {
    fc.assert(
      fc.property(inputs, (given) => {
        const before = JSON.stringify(given);
        const first = decide(given);
        expect(decide(given)).toEqual(first);
        expect(JSON.stringify(given)).toBe(before);
      }),
      RUNS,
    );
  });
});

const stored = (given: unknown, decision: unknown): unknown =>
  JSON.parse(JSON.stringify({ inputs: given, decision }));

describe('replay', () => {
  it('comes to the same decision from what was stored, whatever the inputs', () => {
    fc.assert(
      fc.property(inputs, (given) => {
        const decision = decide(given);
        expect(replay(stored(given, decision))).toEqual(decision);
      }),
      RUNS,
    );
  });

  it('never throws, whatever was stored', () => {
    fc.assert(
      fc.property(fc.jsonValue(), inputs, fc.nat(10), (value, given, index) => {
        replay(value);
        const name = Object.keys(given)[index]!;
        replay(stored({ ...given, [name]: value }, null));
      }),
      RUNS,
    );
  });
});
