import { countOf, isSet, namesSet, objectOf, textOf, type JsonObject } from './json-shapes.js';
import type { PromptCollector, Role } from './prompt-collector.js';

const MESSAGE = new Set([
  ...['role', 'content', 'name', 'refusal', 'audio', 'tool_calls', 'tool_call_id'],
]);
const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool']);
const PART = new Set(['type', 'text', 'image_url', 'input_audio', 'file', 'refusal']);
const TOOL = new Set(['type', 'function', 'custom']);
const FUNCTION = new Set(['name', 'description', 'parameters', 'strict']);
const TOOL_CALL = new Set(['id', 'type', 'function', 'index']);
const RESPONSE_FORMAT = new Set(['type', 'json_schema']);
const STREAM_OPTIONS = new Set(['include_usage', 'include_obfuscation']);

/** The body of chat completions, as OpenAI and Groq take it. */
export function readOpenAiChat(body: JsonObject, into: PromptCollector): void {
  for (const item of into.visit(body['messages'])) {
    const message = objectOf(item);
    readMessage(message, into);
  }
  for (const item of into.visit(body['tools'])) {
    const tool = objectOf(item);
    const definition = objectOf(tool['function'] ?? tool['custom']);
    into.members(tool, TOOL);
    into.members(definition, FUNCTION);
    if (isSet(definition['strict'])) into.parameters(['strict_tools']);
    if (tool['type'] !== 'function') into.parameters(['built_in_tools']);
    into.tool(definition['name'], definition['parameters']);
  }
  readChatParameters(body, into);
  readResponseFormat(objectOf(body['response_format']), into);
}

function readMessage(message: JsonObject, into: PromptCollector): void {
  const { role } = message;
  into.message(roleOf(role));
  into.members(message, MESSAGE);
  if (!ROLES.has(textOf(role))) into.unlisted();
  if (role === 'developer') into.parameters(['developer_role']);
  if (isSet(message['name'])) into.parameters(['message_name']);
  readContent(message['content'], into);
  for (const call of into.visit(message['tool_calls'])) {
    // Google's endpoint of this format puts its signatures beside these.
    into.members(objectOf(call), TOOL_CALL);
  }
  if (isSet(message['audio'])) into.pin('item_reference');
}

function readChatParameters(body: JsonObject, into: PromptCollector): void {
  const { facts } = into;
  into.parameters(namesSet(body));
  into.members(objectOf(body['stream_options']), STREAM_OPTIONS);
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

function readResponseFormat(format: JsonObject, into: PromptCollector): void {
  into.members(format, RESPONSE_FORMAT);
  if (!['undefined', 'text', 'json_object', 'json_schema'].includes(String(format['type']))) {
    into.unlisted();
  }
  if (format['type'] === 'json_object') into.format('json_mode', '', null);
  if (format['type'] !== 'json_schema') return;
  const definition = objectOf(format['json_schema']);
  into.format('json_schema', definition['name'], definition['schema']);
}

function readContent(content: unknown, into: PromptCollector): void {
  if (typeof content === 'string') {
    into.text(content);
    return;
  }
  for (const item of into.visit(content)) {
    if (!into.part()) return;
    const part = objectOf(item);
    into.members(part, PART);
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
