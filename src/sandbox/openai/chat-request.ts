import { mentionsTool } from '../completion.js';
import type { Provider } from '../../domain/routing/provider.js';
import { invalid, type Fault } from '../exchange.js';
import { arrayOf, countOf, objectOf, textOf, type JsonObject } from '../json-value.js';
import { findModel, type SandboxModel } from '../models.js';
import { jsonSegment, segmentOf, wordsOf, type PromptSegment } from '../prompt.js';
import { refuseOnChat } from './model-rules.js';

/** A chat completion request that passed the provider's checks. */
export interface ChatRequest {
  readonly kind: 'chat_request';
  readonly model: SandboxModel;
  readonly body: JsonObject;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly choices: number;
  readonly tokensMax: number | null;
  readonly effort: string | null;
  readonly tool: { readonly name: string; readonly schema: unknown } | null;
  readonly json: { readonly schema: unknown } | null;
  readonly segments: readonly PromptSegment[];
}

const CHOICES_MAX = 128;
const TOOLS_MAX = 128;

export function readChatRequest(body: JsonObject, provider: Provider): ChatRequest | Fault {
  const named = textOf(body['model']);
  if (named === null) return invalid('you must provide a model parameter', 'model');
  const model = findModel(provider, named.replace(/^models\//, ''));
  if (model === null || model.kind !== 'chat') return unknownModel(named);
  const messages = arrayOf(body['messages']);
  if (messages.length === 0) return refuseMessages(body);
  const misplaced = messages.findIndex((message) => textOf(objectOf(message)?.['role']) === null);
  if (misplaced !== -1) {
    return invalid(
      `Missing required parameter: 'messages[${misplaced}].role'.`,
      `messages[${misplaced}].role`,
      'missing_required_parameter',
    );
  }
  const refused = provider === 'groq' ? refuseOnGroq(body) : refuseChoices(body);
  if (refused !== null) return refused;
  const unsupported = refuseOnChat(model.id, body);
  if (unsupported !== null) return unsupported;
  return {
    kind: 'chat_request',
    model,
    body,
    stream: body['stream'] === true,
    includeUsage: objectOf(body['stream_options'])?.['include_usage'] === true,
    choices: countOf(body['n']) ?? 1,
    tokensMax: countOf(body['max_completion_tokens']) ?? countOf(body['max_tokens']),
    effort: textOf(body['reasoning_effort']),
    tool: toolToCall(body, messages),
    json: jsonWanted(body),
    segments: segmentsOf(body, messages),
  };
}

export function unknownModel(name: string): Fault {
  const shown = name.length > 80 ? `${name.slice(0, 80)}...` : name;
  return {
    kind: 'fault',
    cause: 'model_not_found',
    message: `The model \`${shown}\` does not exist or you do not have access to it.`,
  };
}

function refuseMessages(body: JsonObject): Fault {
  if (body['messages'] === undefined) {
    return invalid(
      "Missing required parameter: 'messages'.",
      'messages',
      'missing_required_parameter',
    );
  }
  return Array.isArray(body['messages'])
    ? invalid(
        "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
        'messages',
        'empty_array',
      )
    : invalid(
        "Invalid type for 'messages': expected an array of objects.",
        'messages',
        'invalid_type',
      );
}

function refuseChoices(body: JsonObject): Fault | null {
  const choices = body['n'];
  if (choices === undefined || choices === null) return null;
  const count = countOf(choices);
  if (count !== null && count >= 1 && count <= CHOICES_MAX) return null;
  return invalid(`Invalid 'n': expected an integer from 1 to ${CHOICES_MAX}.`, 'n');
}

const NOT_ON_GROQ = ['logprobs', 'top_logprobs', 'logit_bias'];

function refuseOnGroq(body: JsonObject): Fault | null {
  const unsupported = NOT_ON_GROQ.find((name) => body[name] !== undefined && body[name] !== null);
  if (unsupported !== undefined) {
    return invalid(`property '${unsupported}' is unsupported`, unsupported);
  }
  if ((body['n'] ?? 1) !== 1) return invalid("'n' : number must be at most 1", 'n');
  if (arrayOf(body['messages']).some((message) => objectOf(message)?.['name'] !== undefined)) {
    return invalid("property 'name' is unsupported", 'messages');
  }
  if (arrayOf(body['tools']).length > TOOLS_MAX) {
    return invalid(`'tools' : maximum number of items is ${TOOLS_MAX}`, 'tools');
  }
  return null;
}

function toolToCall(body: JsonObject, messages: readonly unknown[]): ChatRequest['tool'] {
  const tools = arrayOf(body['tools'])
    .map((tool) => objectOf(objectOf(tool)?.['function']))
    .filter((tool) => tool !== null);
  const first = tools[0];
  const choice = body['tool_choice'];
  if (first === undefined || choice === 'none') return null;
  const forced = textOf(objectOf(objectOf(choice)?.['function'])?.['name']);
  const last = objectOf(messages.at(-1));
  const asked = last?.['role'] === 'user' && mentionsTool(wordsOf(last['content']));
  if (forced === null && choice !== 'required' && !asked) return null;
  const chosen = tools.find((tool) => tool['name'] === forced) ?? first;
  return { name: textOf(chosen['name']) ?? 'function', schema: chosen['parameters'] };
}

function jsonWanted(body: JsonObject): ChatRequest['json'] {
  const format = objectOf(body['response_format']);
  if (format?.['type'] === 'json_object') return { schema: null };
  if (format?.['type'] !== 'json_schema') return null;
  return { schema: objectOf(format['json_schema'])?.['schema'] };
}

function segmentsOf(body: JsonObject, messages: readonly unknown[]): PromptSegment[] {
  const segments: PromptSegment[] = [];
  if (body['tools'] !== undefined) segments.push(jsonSegment('tools', body['tools']));
  for (const message of messages) {
    const object = objectOf(message) ?? {};
    segments.push(segmentOf(textOf(object['role']) ?? '', object['content'] ?? ''));
    if (object['tool_calls'] !== undefined) {
      segments.push(jsonSegment('tool_calls', object['tool_calls']));
    }
  }
  return segments;
}
