import { invalid, type Fault } from '../exchange.js';
import { objectOf, textOf, type JsonObject } from '../json-value.js';

/** The version from which sampling parameters are refused whatever the model. */
const NO_SAMPLING_FROM = '2026-10-21';
const SAMPLING = ['temperature', 'top_p', 'top_k'] as const;

const startsWithAny = (model: string, prefixes: readonly string[]): boolean =>
  prefixes.some((prefix) => model.startsWith(prefix));

const isFifth = (model: string): boolean => /^claude-[a-z]+-5/.test(model);
const isLate = (model: string): boolean =>
  isFifth(model) || startsWithAny(model, ['claude-opus-4-7', 'claude-opus-4-8']);
const alwaysThinks = (model: string): boolean =>
  startsWithAny(model, ['claude-fable-5', 'claude-opus-5-5']);

/** What the model refuses, as the provider words it; null where nothing is wrong. */
export function refuseForModel(model: string, version: string, body: JsonObject): Fault | null {
  return (
    refuseSampling(model, version, body) ??
    refuseThinking(model, body) ??
    refuseToolChoice(model, body)
  );
}

/** The thinking that the request asks for, and what it costs. */
export function thinkingOf(model: string, body: JsonObject): { shown: boolean; tokens: number } {
  const type = textOf(objectOf(body['thinking'])?.['type']);
  const shown = type === 'enabled' || type === 'adaptive' || type === 'between_tools';
  return { shown, tokens: shown || alwaysThinks(model) ? 32 : 0 };
}

function refuseSampling(model: string, version: string, body: JsonObject): Fault | null {
  const given = SAMPLING.find((name) => body[name] !== undefined && body[name] !== null);
  if (given === undefined) return null;
  if (version >= NO_SAMPLING_FROM) {
    return invalid(`${given}: Extra inputs are not permitted with this anthropic-version`);
  }
  if (!isLate(model) || body[given] === 1) return null;
  return invalid(`\`${given}\` is not supported by this model.`);
}

function refuseThinking(model: string, body: JsonObject): Fault | null {
  const thinking = objectOf(body['thinking']);
  const type = textOf(thinking?.['type']);
  if (thinking === null || type === null) return null;
  if (type === 'enabled') {
    if (isLate(model)) {
      return invalid(
        '`thinking.type: enabled` is not supported by this model. Use `adaptive` instead.',
      );
    }
    return refuseBudget(thinking['budget_tokens'], body['max_tokens']);
  }
  if (type === 'adaptive' && !isLate(model) && !/-4-6$/.test(model)) {
    return invalid('`thinking.type: adaptive` is not supported by this model.');
  }
  const mustThink = alwaysThinks(model) || model === 'claude-sonnet-5-5';
  return type === 'disabled' && mustThink
    ? invalid('`thinking.type: disabled` is not supported by this model.')
    : null;
}

function refuseBudget(budget: unknown, maxTokens: unknown): Fault | null {
  if (typeof budget !== 'number' || budget < 1024) {
    return invalid('thinking.enabled.budget_tokens: Input should be greater than or equal to 1024');
  }
  return typeof maxTokens === 'number' && budget >= maxTokens
    ? invalid('`max_tokens` must be greater than `thinking.budget_tokens`.')
    : null;
}

function refuseToolChoice(model: string, body: JsonObject): Fault | null {
  const type = objectOf(body['tool_choice'])?.['type'];
  const refuses = startsWithAny(model, [
    'claude-fable-5-1',
    'claude-fable-5-2',
    'claude-opus-5-5',
    'claude-sonnet-5-5',
  ]);
  if (!refuses || (type !== 'any' && type !== 'tool')) return null;
  return invalid(`tool_choice.type: \`${type}\` is not supported by this model.`);
}
