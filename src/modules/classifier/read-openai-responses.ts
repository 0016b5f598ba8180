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
  objectOf,
  shapes,
  textOf,
  type JsonObject,
} from './json-shapes.js';
import type { PromptCollector } from './prompt-collector.js';
import { isPlainChoice, roleOf } from './read-openai-chat.js';

const BODY = shapes({
  model: isText,
  input: isTextOrList,
  instructions: isText,
  stream: isFlag,
  stream_options: isObject,
  store: isFlag,
  metadata: isObject,
  user: isText,
  safety_identifier: isText,
  prompt_cache_key: isText,
  max_output_tokens: isCount,
  temperature: isNumber,
  top_p: isNumber,
  top_logprobs: isCount,
  tools: isList,
  tool_choice: isTextOrObject,
  parallel_tool_calls: isFlag,
  reasoning: isObject,
  text: isObject,
  previous_response_id: isText,
  conversation: isTextOrObject,
  prompt: isObject,
  background: isFlag,
});
const ITEM = shapes({
  type: isText,
  role: isText,
  content: isTextOrList,
  id: isText,
  status: isText,
  call_id: isText,
  name: isText,
  arguments: isText,
  output: isTextOrList,
});
const ROLES = new Set(['system', 'developer', 'user', 'assistant']);
const PART = shapes({
  type: isText,
  text: isText,
  annotations: isList,
  logprobs: isList,
  refusal: isText,
  image_url: isText,
  detail: isText,
  input_audio: isObject,
  file_id: isText,
  file_data: isText,
  file_url: isText,
  filename: isText,
});
const PINNING_ITEMS = new Set(['reasoning', 'compaction', 'item_reference']);
const FUNCTION_ITEMS = new Set(['function_call', 'function_call_output']);
const TOOL = shapes({
  type: isText,
  name: isText,
  description: isText,
  parameters: isObject,
  strict: isFlag,
});
const REASONING = shapes({ effort: isText });
const TEXT = shapes({ format: isObject, verbosity: isText });
const FORMAT = shapes({
  type: isText,
  name: isText,
  description: isText,
  schema: isObject,
  strict: isFlag,
});
const STREAM_OPTIONS = shapes({ include_obfuscation: isFlag });

/** The body of OpenAI's Responses API. */
export function readOpenAiResponses(body: JsonObject, into: PromptCollector): void {
  into.message('system');
  into.text(body['instructions']);
  const { input } = body;
  if (typeof input === 'string') {
    into.message('user');
    into.text(input);
  } else {
    for (const item of into.visit(input)) readItem(item, into);
  }
  for (const item of into.visit(body['tools'])) readTool(into.element(item, TOOL), into);
  readState(body, into);
  readParameters(body, into);
}

function readState(body: JsonObject, into: PromptCollector): void {
  into.pinIf(body['previous_response_id'], 'previous_response');
  into.pinIf(body['conversation'], 'conversation');
  into.pinIf(body['prompt'], 'stored_prompt');
  if (body['background'] === true) into.pin('background');
}

function readParameters(body: JsonObject, into: PromptCollector): void {
  const { facts } = into;
  into.parameters(body, BODY);
  into.members(body['stream_options'], STREAM_OPTIONS);
  facts.parallelToolsSet = isSet(body['parallel_tool_calls']);
  const choice = body['tool_choice'];
  if (!isPlainChoice(choice)) into.unlisted();
  facts.toolChoiceForced = isSet(choice) && choice !== 'auto' && choice !== 'none';
  facts.maxOutputTokens = countOf(body['max_output_tokens']);
  facts.logprobs = isSet(body['top_logprobs']);
  facts.samplingSet = isSet(body['temperature']) || isSet(body['top_p']);
  facts.streaming = body['stream'] === true;
  const reasoning = into.members(body['reasoning'], REASONING);
  into.effort(reasoning['effort']);
  const text = into.members(body['text'], TEXT);
  if (isSet(text['verbosity'])) into.parameter('verbosity');
  if (isSet(text['format'])) readFormat(into.members(text['format'], FORMAT), into);
}

function readFormat(format: JsonObject, into: PromptCollector): void {
  if (format['type'] === 'json_schema') {
    into.format('json_schema', format['name'], format['schema']);
  } else if (format['type'] === 'json_object') {
    into.format('json_mode', '', null);
  } else if (format['type'] !== 'text') into.unlisted();
}

function readItem(value: unknown, into: PromptCollector): void {
  // Reasoning has members of its own; it pins the call anyway.
  const isPinning = PINNING_ITEMS.has(textOf(objectOf(value)['type']));
  const item = isPinning ? objectOf(value) : into.element(value, ITEM);
  switch (item['type'] ?? kindOfUntyped(item)) {
    case 'message':
      into.message(roleOf(item['role']));
      if (!ROLES.has(textOf(item['role'])) || !isSet(item['content'])) into.unlisted();
      readContent(item['content'], into);
      break;
    case 'reasoning':
    case 'compaction':
      into.pin('encrypted_reasoning');
      into.partOfAnswer();
      break;
    case 'item_reference':
      // It may stand for anything; SDKs write it for what answers left.
      into.pin('item_reference');
      into.partOfAnswer();
      break;
    default:
      // Calls of tools and their results, of which new kinds keep appearing.
      if (!FUNCTION_ITEMS.has(textOf(item['type']))) into.unlisted();
      into.message(textOf(item['type']).endsWith('_output') ? 'tool' : 'assistant');
      readContent(item['output'] ?? item['arguments'], into);
  }
}

/** Messages and references need not say what they are. */
function kindOfUntyped({ role, content, id }: JsonObject): 'message' | 'item_reference' | 'other' {
  if (isSet(content)) return 'message';
  return isSet(id) && !isSet(role) ? 'item_reference' : 'other';
}

function readContent(content: unknown, into: PromptCollector): void {
  if (typeof content === 'string') {
    into.text(content);
    return;
  }
  for (const entry of into.visit(content)) {
    const part = into.element(entry, PART);
    into.text(part['text']);
    into.pinIf(part['file_id'], 'file');
    switch (part['type']) {
      case 'input_image':
        into.facts.hasImages = true;
        break;
      case 'input_audio':
        into.facts.hasAudio = true;
        break;
      case 'input_file':
        into.facts.hasDocuments = true;
        break;
      case 'input_text':
      case 'output_text':
      case 'text':
        break;
      case 'refusal':
        into.text(part['refusal']);
        break;
      default:
        into.unlisted();
    }
  }
}

function readTool(tool: JsonObject, into: PromptCollector): void {
  into.tool(tool['name'] ?? tool['type'], tool['parameters']);
  if (tool['type'] !== 'function') into.parameter('built_in_tools');
  into.pinIf(tool['vector_store_ids'], 'file');
  if (typeof tool['container'] === 'string') into.pin('container');
}
