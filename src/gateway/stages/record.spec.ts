import { describe, expect, it } from 'vitest';
import type { UnpricedCall } from '../../domain/savings/ledger-entries.js';
import { NO_USAGE } from '../../domain/pricing/usage.js';
import type { Planned } from '../call.js';
import type { Metering } from './meter.js';
import { finalRecord, type Ending } from './record.js';
import type { Savings } from './savings.js';

const CALL = {
  principal: {},
  route: {},
  attempt: { provider: 'openai', upstream: {} },
  req: { headers: {} },
  routing: null,
} as unknown as Planned;
const UNPRICED = { request_id: 'a call' } as UnpricedCall;
const SAVINGS: Savings = {
  entries: [],
  exclusion: 'unpriceable',
  baselineNanoUsd: null,
  unknownCostAttempts: 0,
};

function recordOf(
  serviceTier: string | null,
  savings: Savings = { ...SAVINGS, unpriced: UNPRICED },
) {
  const terms = { serviceTier, speed: null, region: 'eu' };
  const report = { usage: NO_USAGE, answeringModel: 'gpt-none', ...terms };
  const metering = { kind: 'reported', report } as Metering;
  const ratings = { served: null, projected: null };
  return finalRecord(CALL, { attempt: null } as Ending, metering, ratings, null, savings);
}

describe('the record of a routed call without a price', () => {
  it('keeps beside it what its entry needs, with the terms that its price depends on', () => {
    expect(recordOf('priority').unpriced).toEqual({
      ...UNPRICED,
      service_tier: 'priority',
      speed: null,
      region: 'eu',
    });
    expect(recordOf('priority', SAVINGS)).not.toHaveProperty('unpriced');
  });

  it('keeps nothing where a term is no name: it could not be told from the normal one later', () => {
    expect(recordOf('whatever a provider may say')).not.toHaveProperty('unpriced');
  });
});
