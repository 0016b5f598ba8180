import { afterAll, beforeAll, expect, test } from 'vitest';
import { modelAllowed } from '../../../src/domain/policy/allow-lists.js';
import type { Target } from '../../../src/domain/routing/decision.js';
import type { Provider } from '../../../src/domain/routing/provider.js';
import {
  json,
  startCapturingUpstream,
  type Captured,
  type CapturingUpstream,
} from '../../support/capturing-upstream.js';
import { RoutingRig } from './routing-rig.js';

let upstream: CapturingUpstream;
let rig: RoutingRig;

beforeAll(async () => {
  upstream = await startCapturingUpstream();
  rig = await RoutingRig.startAt(upstream.origin);
});
afterAll(async () => {
  await rig?.stop();
  await upstream?.close();
});

const MODELS: readonly Target[] = [
  { provider: 'openai', model: 'gpt-6-sol' },
  { provider: 'openai', model: 'gpt-6.1-terra' },
  { provider: 'openai', model: 'gpt-6-luna' },
  { provider: 'groq', model: 'openai/gpt-oss-20b' },
  { provider: 'google', model: 'gemini-3.5-flash-lite' },
];
const LISTS = [null, ['gpt-6-sol'], ['gpt-6*'], ['gpt-6-sol', 'openai/*'], ['gemini-*'], []];
const PROVIDER_LISTS: (Provider[] | null)[] = [null, ['openai'], ['openai', 'groq'], ['google']];

/** The same sequence each time, so that a failure can be seen again. */
function seeded(seed: number): <T>(list: readonly T[]) => T {
  let state = seed;
  return (list) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return list[Math.floor((state / 2 ** 32) * list.length)]!;
  };
}

function providerOf({ url }: Captured): Provider {
  if (url.startsWith('/openai/')) return 'groq';
  return url.startsWith('/v1beta/') ? 'google' : 'openai';
}

const TENANTS = 12;
const CALLS_PER_TENANT = 30;

test('no call reaches a model that its organization or project does not allow, whatever it says', async () => {
  const pick = seeded(7);
  let reached = 0;
  let rerouted = 0;
  let wanted = '';
  upstream.answerWith((res, captured) => {
    const { model } = JSON.parse(captured.body.toString()) as { model: string };
    if (pick([true, false])) return json(res, { error: { message: 'busy' } }, 503);
    return json(res, { model, choices: [], usage: { prompt_tokens: 9, completion_tokens: 1 } });
  });
  for (let number = 0; number < TENANTS; number += 1) {
    const lists = {
      organization: { providers: pick(PROVIDER_LISTS), models: pick(LISTS) },
      project: { providers: pick(PROVIDER_LISTS), models: pick(LISTS) },
    };
    const tenant = await rig.activeTenant(`tenant ${number}`, {
      allowedProviders: lists.project.providers,
      allowedModels: lists.project.models,
      crossProviderOptIn: ['groq', 'google'],
      fallbackModels: [pick(MODELS), pick(MODELS)],
      defaultModel: pick(MODELS).model,
    });
    await rig.setOrganization(tenant, {
      allowedProviders: lists.organization.providers,
      allowedModels: lists.organization.models,
    });
    await rig.rule(tenant, [pick(MODELS), pick(MODELS), pick(MODELS)]);
    const { breakers } = rig.gateway.app.engine.resilience;
    for (let call = 0; call < CALLS_PER_TENANT; call += 1) {
      for (const target of breakers.states()) breakers.told(target, { to: 'closed' });
      upstream.captured.length = 0;
      wanted = pick(['gpt-6-sol', 'gpt-6.1-terra', 'shunt/auto', 'gpt-5.4']);
      const override = pick([null, null, 'gpt-6-luna', 'openai/gpt-oss-20b', 'gpt-6-sol']);
      await rig.chat(
        tenant,
        { model: wanted, messages: [{ role: 'user', content: `Is it ${call}?` }] },
        {
          'x-shunt-session-id': `s${pick([1, 2, 3])}`,
          ...(override === null ? {} : { 'x-shunt-model': override }),
          ...(pick([true, false, false]) ? { 'x-shunt-route': 'off' } : {}),
        },
      );
      for (const captured of upstream.captured) {
        const { model } = JSON.parse(captured.body.toString()) as { model: string };
        const provider = providerOf(captured);
        const isAllowed = modelAllowed(lists.organization, lists.project, provider, model);
        expect([lists, provider, model, isAllowed]).toEqual([lists, provider, model, true]);
        reached += 1;
        if (model !== wanted) rerouted += 1;
      }
    }
  }
  // Enough of them went somewhere else for the check to mean anything.
  expect(reached).toBeGreaterThan(50);
  expect(rerouted).toBeGreaterThan(20);
});
