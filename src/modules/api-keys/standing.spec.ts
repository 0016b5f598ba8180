import { expect, test } from 'vitest';
import { SUBSCRIPTION_STATUSES } from '../../domain/subscription/status.js';
import { Standings, type StandingFacts } from './standing.js';

const ORG = '11111111-1111-4111-8111-111111111111';
const at = (version: number, fields: Partial<StandingFacts> = {}): StandingFacts => ({
  orgId: ORG,
  version,
  status: 'active',
  hold: false,
  ...fields,
});

test('every key of an organization shares one standing, and a change reaches all of them at once', () => {
  const standings = new Standings();
  const first = standings.of(at(3));
  const second = standings.of(at(3));
  expect(second).toBe(first);
  standings.take(at(4, { status: 'observing', hold: true }));
  expect(first).toEqual(at(4, { status: 'observing', hold: true }));
});

test('in whatever order facts arrive, and however often, the newest holds', () => {
  const facts = Array.from({ length: 40 }, (_, version) =>
    at(version, {
      status: SUBSCRIPTION_STATUSES[version % SUBSCRIPTION_STATUSES.length]!,
      hold: version % 3 === 0,
    }),
  );
  for (let seed = 1; seed <= 200; seed += 1) {
    const standings = new Standings();
    const standing = standings.of(facts[seed % facts.length]!);
    let newest = standing.version;
    for (let step = 0; step < 60; step += 1) {
      const fact = facts[(seed * 7 + step * step * 13 + step * 3) % facts.length]!;
      if (step % 4 === 0) standings.of(fact);
      else standings.take(fact);
      newest = Math.max(newest, fact.version);
      expect(standing).toEqual(facts[newest]);
    }
  }
});

test('where the counter began anew, older numbers hold, and an organization that is gone routes nothing', () => {
  const standings = new Standings();
  const kept = standings.of(at(90));
  const gone = standings.of({ ...at(91), orgId: 'gone' });
  standings.restart([at(12, { status: 'canceled' })]);
  expect(kept).toEqual(at(12, { status: 'canceled' }));
  expect(gone.hold).toBe(true);
  standings.take(at(13));
  expect(kept).toEqual(at(13));
});
