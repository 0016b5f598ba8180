import { describe, expect, it } from 'vitest';
import { BodyBudget, Payload } from './payload.js';

describe('request bodies in memory', () => {
  it('are bounded over all calls, and give their room back', () => {
    const budget = new BodyBudget(100);
    const [one, other] = [budget.open(), budget.open()];
    expect(one.grow(60)).toBe(true);
    expect(other.grow(41)).toBe(false);
    expect(other.grow(40)).toBe(true);
    one.shrinkTo(10);
    expect(other.grow(50)).toBe(true);
    one.shrinkTo(0);
    one.shrinkTo(0);
    expect(one.grow(10)).toBe(true);
    expect(one.grow(1)).toBe(false);
  });

  it('that arrive after their call has ended are not counted, and never leak', () => {
    const budget = new BodyBudget(100);
    const gone = budget.open();
    gone.grow(60);
    gone.close();
    expect(gone.grow(60)).toBe(false);
    expect(budget.open().grow(100)).toBe(true);
  });

  it('are let go of once sent and looked at, but for a head', () => {
    const budget = new BodyBudget(1_000);
    const hold = budget.open();
    hold.grow(1_000);
    const bytes = Buffer.alloc(1_000, 'x');
    const payload = new Payload(bytes, bytes, hold);
    expect(payload.takeToSend()).toBe(bytes);
    expect(payload.takeToSend()).toBeNull();
    payload.lookedAt(10);
    expect(payload.plain.toString()).toBe('x'.repeat(10));
    expect(payload).toMatchObject({ rawBytes: 1_000, plainBytes: 1_000 });
    expect(budget.open().grow(990)).toBe(true);
  });

  it('are sent again as they came, or changed, for as long as that may be wanted', () => {
    const came = Buffer.from('came');
    const payload = new Payload(came, came, new BodyBudget(1_000).open());
    payload.retain();
    payload.replace(Buffer.from('changed'));
    expect(payload.takeToSend()?.toString()).toBe('changed');
    payload.replace(null);
    expect(payload.takeToSend()).toBe(came);
    payload.lookedAt(10);
    payload.replace(null);
    expect(payload.takeToSend()).toBeNull();
  });
});
