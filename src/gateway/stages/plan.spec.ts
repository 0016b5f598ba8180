import { describe, expect, it } from 'vitest';
import type { Admitted, Upstream } from '../call.js';
import { plan, type PlanContext } from './plan.js';

/** The calls that were said to have used their model's cache unseen. */
async function missed({ status = 'active', mayRoute = true, format = 'openai_chat' }) {
  const missedCalls: [orgId: string, atMs: number][] = [];
  const context: PlanContext = {
    mayRoute: () => mayRoute,
    router: { route: () => Promise.reject(new Error('a fault')) },
    prefixes: {
      use: () => ({ known: 0 }),
      missed: (...call) => {
        missedCalls.push(call);
      },
    },
    undecided: () => undefined,
    upstreamOf: () => ({}) as Upstream,
    openKey: () => 'key',
  };
  const plain = Buffer.from('{}');
  const call = {
    mode: status,
    startedAtMs: 7,
    requested: 'gpt-6-sol',
    model: 'gpt-6-sol',
    override: null,
    query: '',
    principal: { orgId: 'org', standing: {}, providerKeys: {}, strict: true },
    route: { format, provider: 'openai', pathModel: null, upstreamPath: '/chat/completions' },
    facts: { scanned: { members: [] }, modelSpan: null, injection: null },
    payload: { plain, plainBytes: plain.length, replace: () => undefined },
    req: { headers: {}, rawHeaders: [] },
  } as unknown as Admitted;
  await plan(call, context);
  return missedCalls;
}

describe('a call that is not routed', () => {
  it('may have left its prompt in the requested model’s cache, which the ledger’s baseline is told', async () => {
    expect(await missed({ status: 'observing' })).toEqual([['org', 7]]);
    expect(await missed({ mayRoute: false })).toEqual([['org', 7]]);
    expect(await missed({})).toEqual([['org', 7]]);
  });

  it('left none there where no model answered it', async () => {
    expect(await missed({ status: 'observing', format: 'openai_embeddings' })).toEqual([]);
  });
});
