import {
  countOf,
  isCount,
  isFlag,
  isList,
  isNumber,
  isObject,
  isSet,
  isText,
  isTextOrList,
  isTextOrObject,
  isTextOrTexts,
  objectOf,
  shapes,
  textOf,
  type JsonObject,
} from './json-shapes.js';
import type { PromptCollector, Role } from './prompt-collector.js';

const BODY = shapes({
  model: isText,
  messages: isList,
  stream: isFlag,
  stream_options: isObject,
  max_completion_tokens: isCount,
  max_tokens: isCount,
  temperature: isNumber,
  top_p: isNumber,
  presence_penalty: isNumber,
  frequency_penalty: isNumber,
  stop: isTextOrTexts,
  n: isCount,
  logprobs: isFlag,
  top_logprobs: isCount,
  tools: isList,
  tool_choice: isTextOrObject,
  parallel_tool_calls: isFlag,
  response_format: isObject,
  reasoning_effort: isText,
  verbosity: isText,
  prediction: isObject,
  store: isFlag,
  metadata: isObject,
  user: isText,
  safety_identifier: isText,
  prompt_cache_key: isText,
});
const MESSAGE = shapes({
  role: isText,
  content: isTextOrList,
  name: isText,
  refusal: isText,
  audio: isObject,
  tool_calls: isList,
  tool_call_id: isText,
});
const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool']);
const PART = shapes({
  type: isText,
  text: isText,
  image_url: isObject,
  input_audio: isObject,
  file: isObject,
  refusal: isText,
});
const TOOL = shapes({ type: isText, function: isObject, custom: isObject });
const FUNCTION = shapes({
  name: isText,
  description: isText,
  parameters: isObject,
  strict: isFlag,
});
const TOOL_CALL = shapes({ id: isText, type: isText, function: isObject, index: isCount });
const RESPONSE_FORMAT = shapes({ type: isText, json_schema: isObject });
const JSON_SCHEMA = shapes({
  name: isText,
  description: isText,
  schema: isObject,
  strict: isFlag,
});
const STREAM_OPTIONS = shapes({ include_usage: isFlag, include_obfuscation: isFlag });

/** The body of chat completions, as OpenAI and Groq take it. */
export function readOpenAiChat(body: JsonObject, into: PromptCollector): void {
  for (const item of into.visit(body['messages'])) readMessage(into.element(item, MESSAGE), into);
  for (const item of into.visit(body['tools'])) {
    const tool = into.element(item, TOOL);
    const definition = into.members(tool['function'] ?? tool['custom'], FUNCTION);
    if (isSet(definition['strict'])) into.parameter('strict_tools');
    if (tool['type'] !== 'function') into.parameter('built_in_tools');
    into.tool(definition['name'], definition['parameters']);
  }
  readChatParameters(body, into);
  readResponseFormat(body['response_format'], into);
}

function readMessage(message: JsonObject, into: PromptCollector): void {
  const { role } = message;
  into.message(roleOf(role));
  if (!ROLES.has(textOf(role))) into.unlisted();
  if (role === 'developer') into.parameter('developer_role');
  if (isSet(message['name'])) into.parameter('message_name');
  readContent(message['content'], into);
  // Google's endpoint of this format puts its signatures beside these.
  for (const call of into.visit(message['tool_calls'])) into.element(call, TOOL_CALL);
  if (isSet(message['audio'])) into.pin('item_reference');
}

function readChatParameters(body: JsonObject, into: PromptCollector): void {
  const { facts } = into;
  into.parameters(body, BODY);
  into.members(body['stream_options'], STREAM_OPTIONS);
  facts.parallelToolsSet = isSet(body['parallel_tool_calls']);
  const choice = body['tool_choice'];
  facts.toolChoiceForced = isSet(choice) && choice !== 'auto' && choice !== 'none';
  if (!isPlainChoice(choice)) into.unlisted();
  facts.maxOutputTokens = countOf(body['max_completion_tokens'] ?? body['max_tokens']);
  facts.legacyMaxTokens = isSet(body['max_tokens']);
  facts.choices = countOf(body['n']) ?? 1;
  facts.logprobs = body['logprobs'] === true || isSet(body['top_logprobs']);
  facts.samplingSet = ['temperature', 'top_p', 'presence_penalty', 'frequency_penalty'].some(
    (name) => isSet(body[name]),
  );
  facts.stopSet = isSet(body['stop']);
  facts.predictionSet = isSet(body['prediction']);
  facts.streaming = body['stream'] === true;
  facts.hasAudio ||= isSet(body['audio']);
  into.effort(body['reasoning_effort']);
}

/** The forms of `tool_choice` that every model with tools takes. */
export function isPlainChoice(choice: unknown): boolean {
  if (!isSet(choice) || choice === 'auto' || choice === 'none' || choice === 'required')
    return true;
  return objectOf(choice)['type'] === 'function';
}

function readResponseFormat(value: unknown, into: PromptCollector): void {
  const format = into.members(value, RESPONSE_FORMAT);
  switch (isSet(value) ? format['type'] : 'text') {
    case 'text':
      break;
    case 'json_object':
      into.format('json_mode', '', null);
      break;
    case 'json_schema': {
      const definition = into.members(format['json_schema'], JSON_SCHEMA);
      into.format('json_schema', definition['name'], definition['schema']);
      break;
    }
    default:
      into.unlisted();
  }
}

function readContent(content: unknown, into: PromptCollector): void {
  if (typeof content === 'string') {
    into.text(content);
    return;
  }
  for (const item of into.visit(content)) {
    const part = into.element(item, PART);
    switch (part['type']) {
      case 'text':
        into.text(part['text']);
        break;
      case 'image_url':
        into.facts.hasImages = true;
        break;
      case 'input_audio':
        into.facts.hasAudio = true;
        break;
      case 'file':
        into.facts.hasDocuments = true;
        into.pinIf(objectOf(part['file'])['file_id'], 'file');
        break;
      case 'refusal':
        into.text(part['refusal']);
        break;
      default:
        into.unlisted();
    }
  }
}

export function roleOf(role: unknown): Role {
  switch (textOf(role)) {
    case 'system':
    case 'developer':
      return 'system';
    case 'assistant':
    case 'model':
      return 'assistant';
    case 'tool':
    case 'function':
      return 'tool';
    default:
      return 'user';
  }
}
