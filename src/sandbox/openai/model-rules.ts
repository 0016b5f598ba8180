import { invalid, type Fault } from '../exchange.js';
import { arrayOf, type JsonObject } from '../json-value.js';

/** What a model does with `reasoning_effort`. */
interface ReasoningRule {
  readonly prefix: string;
  readonly efforts: readonly string[];
  /** Used where the request names none. */
  readonly standard: string;
  readonly toolsOnChat: 'yes' | 'without_reasoning' | 'no';
}

const SCALE = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'];
const NONE_TO_HIGH = ['none', 'low', 'medium', 'high'];
const NONE_TO_XHIGH = [...NONE_TO_HIGH, 'xhigh'];
const NONE_TO_MAX = [...NONE_TO_XHIGH, 'max'];
const LOW_TO_MAX = ['low', 'medium', 'high', 'xhigh', 'max'];

// The longest prefix that fits comes first.
const RULES: readonly ReasoningRule[] = [
  { prefix: 'gpt-6.2', efforts: LOW_TO_MAX, standard: 'medium', toolsOnChat: 'no' },
  { prefix: 'gpt-6.1-sol', efforts: LOW_TO_MAX, standard: 'medium', toolsOnChat: 'no' },
  { prefix: 'gpt-6.1-terra', efforts: NONE_TO_MAX, standard: 'medium', toolsOnChat: 'yes' },
  { prefix: 'gpt-6-astra', efforts: LOW_TO_MAX, standard: 'medium', toolsOnChat: 'no' },
  { prefix: 'gpt-6-', efforts: NONE_TO_MAX, standard: 'medium', toolsOnChat: 'without_reasoning' },
  { prefix: 'gpt-5.6', efforts: NONE_TO_MAX, standard: 'medium', toolsOnChat: 'without_reasoning' },
  { prefix: 'gpt-5.5', efforts: NONE_TO_XHIGH, standard: 'medium', toolsOnChat: 'yes' },
  { prefix: 'gpt-5.4', efforts: NONE_TO_XHIGH, standard: 'none', toolsOnChat: 'yes' },
  { prefix: 'gpt-5.2', efforts: NONE_TO_XHIGH, standard: 'none', toolsOnChat: 'yes' },
  { prefix: 'gpt-5.1', efforts: NONE_TO_HIGH, standard: 'none', toolsOnChat: 'yes' },
  {
    prefix: 'gpt-5',
    efforts: ['minimal', 'low', 'medium', 'high'],
    standard: 'medium',
    toolsOnChat: 'yes',
  },
  { prefix: 'o3', efforts: ['low', 'medium', 'high'], standard: 'medium', toolsOnChat: 'yes' },
  {
    prefix: 'openai/gpt-oss',
    efforts: ['low', 'medium', 'high'],
    standard: 'medium',
    toolsOnChat: 'yes',
  },
  {
    prefix: 'qwen/',
    efforts: ['none', 'default', 'low', 'medium', 'high'],
    standard: 'default',
    toolsOnChat: 'yes',
  },
];

const SAMPLING = [
  'temperature',
  'top_p',
  'logprobs',
  'top_logprobs',
  'presence_penalty',
  'frequency_penalty',
];

// Only Groq's names hold a slash; it takes what OpenAI's own reasoning models refuse.
const isGroqs = (model: string): boolean => model.includes('/');

function ruleOf(model: string): ReasoningRule | null {
  return RULES.find((rule) => model.startsWith(rule.prefix)) ?? null;
}

/** True for models that write what they cache, and bill for it (5.6 and later). */
export function billsCacheWrites(model: string): boolean {
  return model.startsWith('gpt-6') || model.startsWith('gpt-5.6');
}

/** How many reasoning tokens the model spends at this effort; 0 for models that do not reason. */
export function reasoningTokensOf(model: string, effort: string | null): number {
  const rule = ruleOf(model);
  if (rule === null) return 0;
  const level = SCALE.indexOf(effort ?? rule.standard);
  return level <= 0 ? 0 : 8 * 2 ** level;
}

/** What the model refuses on chat completions, as the provider words it; null where nothing is wrong. */
export function refuseOnChat(model: string, body: JsonObject): Fault | null {
  const effort = typeof body['reasoning_effort'] === 'string' ? body['reasoning_effort'] : null;
  const rule = ruleOf(model);
  if (rule !== null && !isGroqs(model)) {
    if (body['max_tokens'] !== undefined && body['max_tokens'] !== null) {
      return invalid(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        'max_tokens',
        'unsupported_parameter',
      );
    }
    if (arrayOf(body['tools']).length > 0 && !toolsAllowed(rule, effort)) {
      return invalid(
        rule.toolsOnChat === 'no'
          ? 'Function tools with this model are supported by /v1/responses only.'
          : "Function tools with this model need reasoning_effort 'none', or /v1/responses.",
        'tools',
        'unsupported_value',
      );
    }
  }
  return refuseReasoning(model, effort, body, 'reasoning_effort');
}

function toolsAllowed(rule: ReasoningRule, effort: string | null): boolean {
  if (rule.toolsOnChat === 'yes') return true;
  return rule.toolsOnChat === 'without_reasoning' && (effort ?? rule.standard) === 'none';
}

/** Efforts that the model does not know, and sampling parameters next to reasoning. */
export function refuseReasoning(
  model: string,
  effort: string | null,
  body: JsonObject,
  effortParam: string,
): Fault | null {
  const rule = ruleOf(model);
  if (effort !== null && !(rule?.efforts.includes(effort) ?? false)) {
    return rule === null
      ? invalid(`Unrecognized request argument supplied: ${effortParam}`, effortParam)
      : invalid(
          `Unsupported value: this model does not support this ${effortParam}. Supported values are: ${rule.efforts.join(', ')}.`,
          effortParam,
          'unsupported_value',
        );
  }
  if (rule === null || isGroqs(model)) return null;
  if ((effort ?? rule.standard) === 'none') return null;
  const sampling = SAMPLING.find((name) => isSet(name, body[name]));
  if (sampling === undefined) return null;
  return invalid(
    `Unsupported parameter: '${sampling}' is not supported with this model.`,
    sampling,
    'unsupported_parameter',
  );
}

// The values that change nothing are accepted, as the provider accepts them.
function isSet(name: string, value: unknown): boolean {
  if (value === undefined || value === null || value === false) return false;
  return value !== (name.endsWith('_penalty') ? 0 : 1);
}
