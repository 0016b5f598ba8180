import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  PADDLE_STATUSES,
  newestFacts,
  standingOf,
  type BillingFact,
  type PaddleStatus,
} from './standing.js';

const fact = (
  occurredAtUs: number,
  status: PaddleStatus,
  subscriptionId = 'sub_1',
  eventId = `evt_${subscriptionId}_${occurredAtUs}`,
): BillingFact => ({ eventId, subscriptionId, occurredAtUs, status });

test.each([
  [[], 'none', null],
  [[fact(1, 'active')], 'paid', 'payment_recovered'],
  [[fact(1, 'trialing')], 'paid', 'payment_recovered'],
  [[fact(1, 'active'), fact(2, 'past_due')], 'past_due', 'payment_past_due'],
  [[fact(1, 'active'), fact(2, 'paused')], 'past_due', 'payment_past_due'],
  [[fact(2, 'paused'), fact(3, 'active')], 'paid', 'payment_recovered'],
  [[fact(1, 'active'), fact(2, 'canceled')], 'ended', 'billing_canceled'],
] as const)('%j stands as %s and asks for %s', (facts, standing, move) => {
  expect(standingOf(facts, 0)).toEqual({ standing, move });
});

test('an end since the last activation ends routing, though a newer subscription was heard of first', () => {
  const facts = [fact(5, 'active', 'sub_2'), fact(1, 'active'), fact(4, 'canceled')];
  expect(standingOf(facts, 2)).toEqual({ standing: 'paid', move: 'billing_canceled' });
});

test('an end from before the last activation does not', () => {
  const facts = [fact(1, 'active'), fact(4, 'canceled'), fact(5, 'active', 'sub_2')];
  expect(standingOf(facts, 6)).toEqual({ standing: 'paid', move: 'payment_recovered' });
  expect(standingOf(facts.slice(0, 2), 6)).toEqual({ standing: 'ended', move: 'payment_past_due' });
});

test('where nobody ever enabled routing there is none to end', () => {
  expect(standingOf([fact(4, 'canceled')], null).move).not.toBe('billing_canceled');
});

const facts = fc.array(
  fc
    .record({
      subscriptionId: fc.constantFrom('sub_1', 'sub_2', 'sub_3'),
      occurredAtUs: fc.integer({ min: 0, max: 6 }),
      status: fc.constantFrom(...PADDLE_STATUSES),
      id: fc.integer({ min: 0, max: 9 }),
    })
    // An event has one content, whoever tells of it.
    .map(({ id, ...rest }) => ({ ...rest, eventId: `evt_${id}${JSON.stringify(rest)}` })),
  { maxLength: 12 },
);
const activation = fc.option(fc.integer({ min: 0, max: 6 }));

test('order and repetition change nothing', () => {
  const shuffled = facts.chain((list) =>
    fc.tuple(
      fc.constant(list),
      fc.shuffledSubarray([...list, ...list], { minLength: list.length * 2 }),
    ),
  );
  fc.assert(
    fc.property(shuffled, activation, ([list, again], activatedAtUs) => {
      expect(standingOf(again, activatedAtUs)).toEqual(standingOf(list, activatedAtUs));
    }),
    { numRuns: 2_000 },
  );
});

test('what ends routing is never taken back by a further event', () => {
  fc.assert(
    fc.property(facts, facts, activation, (before, more, activatedAtUs) => {
      fc.pre(standingOf(before, activatedAtUs).move === 'billing_canceled');
      expect(standingOf([...before, ...more], activatedAtUs).move).toBe('billing_canceled');
    }),
    { numRuns: 2_000 },
  );
});

test('the newest event and the last end of each subscription say as much as all of them', () => {
  fc.assert(
    fc.property(facts, activation, (list, activatedAtUs) => {
      const ends = newestFacts(list.filter(({ status }) => status === 'canceled'));
      const kept = [...newestFacts(list), ...ends];
      expect(standingOf(kept, activatedAtUs)).toEqual(standingOf(list, activatedAtUs));
    }),
    { numRuns: 2_000 },
  );
});
