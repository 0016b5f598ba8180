import { createSecretKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Classifier } from '../../domain/classification/classification.js';
import { PROVIDERS } from '../../domain/routing/provider.js';
import { Metrics } from '../../platform/telemetry/metrics.js';
import { createShadow, type ShadowInput } from './shadow.js';
import { substitutionFor } from './substitutes.js';

const ANY = { providers: null, models: null };
const keyOf = (fill: number) => createSecretKey(Buffer.alloc(32, fill));

function inputOf(change: Partial<ShadowInput> = {}, keyFill = 1): ShadowInput {
  return {
    principal: {
      orgId: 'org',
      projectId: 'project',
      orgAllow: ANY,
      projectAllow: ANY,
      hashKey: keyOf(keyFill),
    },
    provider: 'openai',
    format: 'openai_chat',
    model: 'gpt-6-sol',
    headers: {},
    sighting: null,
    body: {
      messages: [
        { role: 'system', content: 'zebra-system' },
        { role: 'user', content: 'zebra-question: is it?' },
      ],
      tools: [],
    },
    ...change,
  };
}

const TINY = {
  messages: [{ role: 'user', content: 'Yes or no?' }],
  max_completion_tokens: 1,
  reasoning_effort: 'none',
};

describe('the shadow of a call', () => {
  const shadow = createShadow(new Metrics());

  it('abstains on an ordinary call, and projects the model that was asked for', () => {
    expect(shadow(inputOf())).toMatchObject({
      projectedModel: 'gpt-6-sol',
      classification: { verdict: 'abstain', reason: 'no_evidence', projection: 'abstained' },
    });
  });

  it('projects a cheaper model of the same provider for an output of a word', () => {
    expect(shadow(inputOf({ body: TINY }))).toMatchObject({
      projectedModel: 'gpt-6-luna',
      classification: { verdict: 'cheaper_suffices', projection: 'cheaper_suffices' },
    });
  });

  it('projects nothing that the allow-lists leave out', () => {
    const listed = { providers: null, models: ['gpt-6-sol'] };
    const principal = { ...inputOf().principal, projectAllow: listed };
    expect(shadow(inputOf({ principal, body: TINY })).projectedModel).toBe('gpt-6-sol');
  });

  it('holds no content, only hashes that mean nothing without the organization’s key', () => {
    const one = shadow(inputOf());
    expect(JSON.stringify(one)).not.toMatch(/zebra/);
    expect(one.sessionKey).toMatch(/^[\w-]{22}$/);
    expect(one.routeClass).toMatch(/^[\w-]{22}$/);
    expect(one.sessionKey).not.toBe(one.routeClass);
    expect(shadow(inputOf())).toEqual(one);
    const other = shadow(inputOf({}, 2));
    expect(other.sessionKey).not.toBe(one.sessionKey);
    expect(other.routeClass).not.toBe(one.routeClass);
  });

  it('counts its own failure and abstains: the call does not notice', async () => {
    const metrics = new Metrics();
    const failing: Classifier = {
      version: 'failing',
      classify: () => {
        throw new Error('zebra');
      },
    };
    expect(createShadow(metrics, failing)(inputOf())).toMatchObject({
      sessionKey: null,
      projectedModel: 'gpt-6-sol',
      classification: { verdict: 'abstain', reason: 'error' },
    });
    expect(await metrics.registry.metrics()).toContain('shunt_shadow_errors_total 1');
  });

  it('says nothing of paths that are relayed unread, but whose session a header names', () => {
    const headers = { 'x-shunt-session-id': 's', 'x-shunt-customer-id': 'c' };
    expect(shadow(inputOf({ format: 'opaque', body: null, model: null, headers }))).toMatchObject({
      sessionKey: expect.any(String) as string,
      routeClass: null,
      classification: null,
      projectedModel: null,
      customerId: 'c',
    });
  });
});

describe('substitutionFor', () => {
  it('knows snapshots by their family, and nothing of other names', () => {
    const [cheapest] = substitutionFor('openai', 'gpt-4o-2024-08-06').candidates;
    expect(cheapest?.model).toBe('gpt-6-luna');
    for (const model of ['unheard-of', '__proto__', 'constructor', '']) {
      for (const provider of PROVIDERS) {
        expect(substitutionFor(provider, model)).toMatchObject({
          capabilities: null,
          candidates: [],
        });
      }
    }
  });

  it('offers nothing but cheaper models of the same provider, cheapest first', () => {
    const { candidates } = substitutionFor('google', 'gemini-4-argon');
    expect(candidates.map(({ model }) => model)).toEqual([
      'gemini-3.5-flash-lite',
      'gemini-3.8-flash',
      'gemini-4-hydrogen',
    ]);
  });
});
