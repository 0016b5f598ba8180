import { expect, test } from 'vitest';
import { LEGAL_TRANSITIONS } from '../../../migrations/1763700100000-subscriptions.js';
import type { Actor } from './actor.js';
import { SUBSCRIPTION_STATUSES, type SubscriptionStatus } from './status.js';
import { transition, type Subscription } from './transition.js';
import { replayStep } from './transition-replay.js';
import { SUBSCRIPTION_EVENTS, TRANSITIONS, type TransitionRule } from './transitions.js';

const ACTORS: readonly Actor[] = [
  { kind: 'member', id: 'm', role: 'owner' },
  { kind: 'member', id: 'm', role: 'admin' },
  { kind: 'member', id: 'm', role: 'member' },
  { kind: 'operator', name: 'o' },
  { kind: 'command', name: 'c' },
  { kind: 'job', name: 'j' },
  { kind: 'billing', source: 'webhook' },
  { kind: 'system', part: 's' },
];
const rules = Object.entries(TRANSITIONS) as [keyof typeof TRANSITIONS, TransitionRule][];

const moves = rules.flatMap(([event, rule]) =>
  SUBSCRIPTION_STATUSES.flatMap((from) => {
    const to = rule.to[from];
    if (to === 'refused') return [];
    if (to !== 'stays') return [[event, from, to] as const];
    // What may change the hold alone is a move too.
    return rule.hold === 'sets' || rule.hold === 'clears' ? [[event, from, from] as const] : [];
  }),
);

test('every pair of event and status is decided', () => {
  expect(rules.map(([event]) => event).toSorted()).toEqual([...SUBSCRIPTION_EVENTS].toSorted());
  for (const [, rule] of rules) {
    expect(Object.keys(rule.to).toSorted()).toEqual([...SUBSCRIPTION_STATUSES].toSorted());
  }
});

test('every status is reachable from observing, and none is without a way on', () => {
  const reached = new Set<SubscriptionStatus>(['observing']);
  for (let grown = true; grown;) {
    const before = reached.size;
    for (const [, from, to] of moves) if (reached.has(from)) reached.add(to);
    grown = reached.size > before;
  }
  expect([...reached].toSorted()).toEqual([...SUBSCRIPTION_STATUSES].toSorted());
  for (const status of SUBSCRIPTION_STATUSES) {
    expect(
      moves.some(([, from, to]) => from === status && to !== status),
      status,
    ).toBe(true);
  }
});

test('the database knows exactly the moves of this table', () => {
  const text = (list: readonly (readonly string[])[]) =>
    list.map((move) => move.join(' ')).toSorted();
  expect(text(LEGAL_TRANSITIONS)).toEqual(text(moves));
});

test('nobody moves a subscription who is not named, and only people block or enable', () => {
  for (const [event, rule] of rules) {
    for (const actor of ACTORS) {
      for (const status of SUBSCRIPTION_STATUSES) {
        const result = transition({ status, hold: false, payment: 'off' }, event, actor, 0);
        if (result.kind !== 'changed') continue;
        expect(rule.by).toContain(actor.kind);
        const { to } = result.change;
        if (to === 'suspended') expect(['operator', 'command']).toContain(actor.kind);
        if (to === 'active' && event === 'activate') {
          expect(actor).toMatchObject({
            kind: 'member',
            role: expect.stringMatching(/owner|admin/),
          });
        }
      }
    }
  }
});

const owner = ACTORS[0]!;
const operator = ACTORS[3]!;
const observing: Subscription = { status: 'observing', hold: false, payment: 'off' };

test("an operator's hold outlives everything but its release", () => {
  const killed = transition({ ...observing, status: 'active' }, 'kill', operator, 7);
  expect(killed).toMatchObject({
    kind: 'changed',
    change: { to: 'observing', hold: true, atMs: 7 },
  });
  const held = { ...observing, hold: true };
  expect(transition(held, 'activate', owner, 0)).toEqual({
    kind: 'refused',
    code: 'operator_hold',
  });
  for (const [event] of rules.filter(([name]) => name !== 'release_hold')) {
    for (const status of SUBSCRIPTION_STATUSES) {
      for (const actor of ACTORS) {
        const result = transition({ ...held, status }, event, actor, 0);
        if (result.kind === 'changed') expect(result.change.hold).toBe(true);
      }
    }
  }
  expect(transition(held, 'release_hold', operator, 0)).toMatchObject({
    change: { hold: false, to: 'observing' },
  });
});

test('where billing is on, routing needs a paid subscription; where it is off, it does not', () => {
  expect(transition({ ...observing, payment: 'unpaid' }, 'activate', owner, 0)).toEqual({
    kind: 'refused',
    code: 'payment_required',
  });
  for (const payment of ['off', 'paid'] as const) {
    expect(transition({ ...observing, payment }, 'activate', owner, 0).kind).toBe('changed');
  }
});

test('the replay takes every step that was decided, and no other', () => {
  for (const event of SUBSCRIPTION_EVENTS) {
    for (const actor of ACTORS) {
      for (const from of SUBSCRIPTION_STATUSES) {
        for (const hold of [false, true]) {
          const before = { status: from, hold };
          // Whoever may at all: the role is not in the trail.
          const someone = actor.kind === 'member' ? owner : actor;
          const decided = transition({ ...before, payment: 'off' }, event, someone, 0);
          const expected = decided.kind === 'changed' ? decided.change : null;
          for (const to of SUBSCRIPTION_STATUSES) {
            for (const after of [false, true]) {
              const step = { event, actorKind: actor.kind, from, to, hold: after };
              const isDecided = expected?.to === to && expected.hold === after;
              expect(replayStep(before, step), JSON.stringify([before, step])).toEqual(
                isDecided ? { status: to, hold: after } : null,
              );
            }
          }
        }
      }
    }
  }
  expect(
    replayStep(
      { status: 'active', hold: false },
      { event: 'suspend', actorKind: 'operator', from: 'observing', to: 'suspended', hold: false },
    ),
  ).toBeNull();
  for (const event of ['constructor', 'toString', '', 'SUSPEND']) {
    const step = { event, actorKind: 'operator', from: 'observing', to: 'suspended', hold: false };
    expect(replayStep({ status: 'observing', hold: false }, step)).toBeNull();
  }
});
