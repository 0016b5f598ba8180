import { readFileSync, readdirSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_USAGE } from '../../../domain/pricing/usage.js';
import type { Usage } from '../../../domain/pricing/usage.js';
import { PROVIDERS } from '../../../domain/routing/provider.js';
import type { Provider } from '../../../domain/routing/provider.js';
import type { WireFormat } from '../../providers/wire-format.js';
import type { UsageReport } from '../usage-report.js';
import { readUsage } from './read-usage.js';
import { USAGE_MARKERS, USAGE_MEMBERS } from './usage-members.js';

interface Fixture {
  readonly name: string;
  readonly follows: string;
  readonly provider: Provider;
  readonly format: WireFormat;
  readonly events: readonly unknown[];
  readonly expected: (Omit<UsageReport, 'usage'> & { readonly usage: Partial<Usage> }) | null;
}

const FOLDER = new URL('../../../../test/fixtures/usage/', import.meta.url);
const FILES = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));
const FORMATS = Object.keys(USAGE_MEMBERS) as WireFormat[];

function fixtures(file: string): Fixture[] {
  return JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Fixture[];
}

function expectedReport(fixture: Fixture): UsageReport | null {
  const { expected } = fixture;
  return expected === null ? null : { ...expected, usage: { ...NO_USAGE, ...expected.usage } };
}

function onlyMembers(format: WireFormat, event: unknown): unknown {
  if (typeof event !== 'object' || event === null || Array.isArray(event)) return event;
  return Object.fromEntries(
    Object.entries(event).filter(([member]) => USAGE_MEMBERS[format].has(member)),
  );
}

describe.each(FILES)('usage is read as the provider means it: %s', (file) => {
  it.each(fixtures(file).map((fixture) => [fixture.name, fixture] as const))('%s', (_, fixture) => {
    expect(readUsage(fixture.format, fixture.provider, fixture.events)).toEqual(
      expectedReport(fixture),
    );
  });

  it('is the same from the members that a reader needs alone', () => {
    for (const fixture of fixtures(file)) {
      const trimmed = fixture.events.map((event) => onlyMembers(fixture.format, event));
      expect(readUsage(fixture.format, fixture.provider, trimmed), fixture.name).toEqual(
        expectedReport(fixture),
      );
    }
  });

  it('is the same when an event arrives twice', () => {
    for (const fixture of fixtures(file)) {
      const doubled = fixture.events.flatMap((event) => [event, event]);
      expect(readUsage(fixture.format, fixture.provider, doubled), fixture.name).toEqual(
        expectedReport(fixture),
      );
    }
  });

  it('is in an event that has the marker of its format', () => {
    for (const fixture of fixtures(file)) {
      if (fixture.expected === null) continue;
      const marker = USAGE_MARKERS[fixture.format];
      expect(marker).not.toBeNull();
      expect(fixture.events.some((event) => JSON.stringify(event).includes(marker ?? ''))).toBe(
        true,
      );
    }
  });
});

describe('whatever a provider sends', () => {
  const counts = [
    'prompt_tokens',
    'completion_tokens',
    'input_tokens',
    'output_tokens',
    'cache_read_input_tokens',
    'cache_creation_input_tokens',
    'promptTokenCount',
    'cachedContentTokenCount',
    'candidatesTokenCount',
    'thoughtsTokenCount',
  ];
  const anyCount = fc.oneof(
    fc.nat(1_000_000),
    fc.constantFrom(-1, 1.5, Number.MAX_SAFE_INTEGER, 2 ** 60, '7', null, true, [], {}),
  );
  const anyUsage = fc.dictionary(fc.constantFrom(...counts), anyCount);
  const anyEvent = fc.oneof(
    fc.jsonValue(),
    fc.record({ model: fc.constant('m'), usage: anyUsage, usageMetadata: anyUsage }),
    fc.record({ type: fc.constant('message_delta'), usage: anyUsage }),
    fc.record({ type: fc.constant('message_start'), message: fc.record({ usage: anyUsage }) }),
    fc.record({
      type: fc.constant('response.completed'),
      response: fc.record({ usage: anyUsage }),
    }),
  );

  it('a report holds non-negative safe integers only, and reading never throws', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...FORMATS),
        fc.constantFrom(...PROVIDERS),
        fc.array(anyEvent, { maxLength: 3 }),
        (format, provider, events) => {
          const report = readUsage(format, provider, events);
          if (report === null) return;
          for (const units of Object.values(report.usage)) {
            expect(Number.isSafeInteger(units) && units >= 0).toBe(true);
          }
          expect(report.usage.reasoningTokens).toBeLessThanOrEqual(
            report.usage.outputTokens + report.usage.audioOutputTokens,
          );
        },
      ),
    );
  });

  it('a count call never has a report', () => {
    for (const format of ['anthropic_count_tokens', 'google_count_tokens'] as const) {
      for (const provider of PROVIDERS) {
        expect(readUsage(format, provider, [{ usage: { input_tokens: 1 } }])).toBeNull();
      }
    }
  });
});
