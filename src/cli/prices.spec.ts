import { describe, expect, it } from 'vitest';
import type { CliError } from './arguments.js';
import { agreementFrom } from './prices.js';

const GIVEN = { provider: 'openai', model: 'gpt-5.4', from: '2026-12-01', input: '1.20' };

function entered(options: Readonly<Record<string, string>>) {
  return agreementFrom({ options, positionals: [] });
}

describe('prices set', () => {
  it('reads dollars per million exactly, to the nano-dollar', () => {
    expect(
      entered({ ...GIVEN, output: '4.8', 'cache-read': '0.000000001', 'web-search': '10000' }),
    ).toEqual({
      provider: 'openai',
      model: 'gpt-5.4',
      effectiveFromMs: Date.UTC(2026, 11, 1),
      prices: {
        inputTokens: 1_200_000_000n,
        outputTokens: 4_800_000_000n,
        cacheReadTokens: 1n,
        webSearchCalls: 10_000_000_000_000n,
      },
      tiers: [],
    });
  });

  it('takes a price of nothing for a price', () => {
    expect(entered({ ...GIVEN, input: '0' }).prices).toEqual({ inputTokens: 0n });
  });

  it.each([
    [{ provider: '' }, '--provider is missing.'],
    [{ provider: 'acme' }, '"acme" is not a provider'],
    [{ model: '' }, '--model is missing.'],
    [{ model: 'x'.repeat(201) }, '--model takes up to 200 characters.'],
    [{ from: '' }, '--from is missing.'],
    [{ from: '2026-02-30' }, '--from takes a day'],
    [{ from: '1.12.2026' }, '--from takes a day'],
    [{ from: '2026-12-01T12:00' }, '--from takes a day'],
    [{ input: '1,20' }, '--input takes dollars per million'],
    [{ input: '$1.20' }, '--input takes dollars per million'],
    [{ input: '1e-3' }, '--input takes dollars per million'],
    [{ input: '-1' }, '--input takes dollars per million'],
    [{ input: '0.0000000001' }, '--input takes dollars per million'],
    [{ input: '' }, '--input takes dollars per million'],
    [{ input: '1000000.01' }, '--input is more than a dollar for each'],
  ])('refuses %j: %s', (options, message) => {
    let thrown: CliError | null = null;
    try {
      entered({ ...GIVEN, ...options });
    } catch (error) {
      thrown = error as CliError;
    }
    expect(thrown?.message).toContain(message);
    expect(thrown?.exitCode).toBe(2);
  });

  it('refuses an agreement about no price', () => {
    const { input: _, ...nothing } = GIVEN;
    expect(() => entered(nothing)).toThrow('No price is named');
  });
});
