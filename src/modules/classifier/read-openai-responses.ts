import { countOf, isSet, namesSet, objectOf, textOf, type JsonObject } from './json-shapes.js';
import type { PromptCollector } from './prompt-collector.js';
import { isPlainChoice, roleOf } from './read-openai-chat.js';

const ITEM = new Set([
  ...['type', 'role', 'content', 'id', 'status'],
  ...['call_id', 'name', 'arguments', 'output'],
]);
const PART = new Set([
  ...['type', 'text', 'annotations', 'logprobs', 'refusal', 'image_url', 'detail', 'input_audio'],
  ...['file_id', 'file_data', 'file_url', 'filename'],
]);
const PINNING_ITEMS = new Set(['reasoning', 'compaction', 'item_reference']);
const FUNCTION_ITEMS = new Set(['function_call', 'function_call_output']);
const TOOL = new Set(['type', 'name', 'description', 'parameters', 'strict']);
const REASONING = new Set(['effort']);
const TEXT = new Set(['format', 'verbosity']);
const FORMAT = new Set(['type', 'name', 'description', 'schema', 'strict']);
const STREAM_OPTIONS = new Set(['include_obfuscation']);

/** The body of OpenAI's Responses API. */
export function readOpenAiResponses(body: JsonObject, into: PromptCollector): void {
  into.message('system');
  into.text(body['instructions']);
  const { input } = body;
  if (typeof input === 'string') {
    into.message('user');
    into.text(input);
  } else {
    for (const item of into.visit(input)) readItem(objectOf(item), into);
  }
  for (const item of into.visit(body['tools'])) readTool(objectOf(item), into);
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
  into.parameters(namesSet(body));
  into.members(objectOf(body['stream_options']), STREAM_OPTIONS);
  facts.parallelToolsSet = isSet(body['parallel_tool_calls']);
  const choice = body['tool_choice'];
  if (!isPlainChoice(choice)) into.unlisted();
  facts.toolChoiceForced = isSet(choice) && choice !== 'auto' && choice !== 'none';
  facts.maxOutputTokens = countOf(body['max_output_tokens']);
  facts.logprobs = isSet(body['top_logprobs']);
  facts.samplingSet = isSet(body['temperature']) || isSet(body['top_p']);
  facts.streaming = body['stream'] === true;
  const reasoning = objectOf(body['reasoning']);
  into.members(reasoning, REASONING);
  into.effort(reasoning['effort']);
  const text = objectOf(body['text']);
  into.members(text, TEXT);
  if (isSet(text['verbosity'])) into.parameters(['verbosity']);
  readFormat(objectOf(text['format']), into);
}

function readFormat(format: JsonObject, into: PromptCollector): void {
  into.members(format, FORMAT);
  if (format['type'] === 'json_schema') {
    into.format('json_schema', format['name'], format['schema']);
  } else if (format['type'] === 'json_object') {
    into.format('json_mode', '', null);
  } else if (isSet(format['type']) && format['type'] !== 'text') into.unlisted();
}

function readItem(item: JsonObject, into: PromptCollector): void {
  // Reasoning has members of its own; it pins the call anyway.
  if (!PINNING_ITEMS.has(textOf(item['type']))) into.members(item, ITEM);
  switch (item['type']) {
    case undefined:
    case 'message':
      into.message(roleOf(item['role']));
      readContent(item['content'], into);
      break;
    case 'reasoning':
    case 'compaction':
      into.pin('encrypted_reasoning');
      break;
    case 'item_reference':
      into.pin('item_reference');
      break;
    default:
      // Calls of tools and their results, of which new kinds keep appearing.
      if (!FUNCTION_ITEMS.has(textOf(item['type']))) into.unlisted();
      into.message(textOf(item['type']).endsWith('_output') ? 'tool' : 'assistant');
      readContent(item['output'] ?? item['arguments'], into);
  }
}

function readContent(content: unknown, into: PromptCollector): void {
  if (typeof content === 'string') {
    into.text(content);
    return;
  }
  for (const entry of into.visit(content)) {
    if (!into.part()) return;
    const part = objectOf(entry);
    into.members(part, PART);
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
  into.members(tool, TOOL);
  if (tool['type'] !== 'function') into.parameters(['built_in_tools']);
  into.pinIf(tool['vector_store_ids'], 'file');
  if (typeof tool['container'] === 'string') into.pin('container');
}
