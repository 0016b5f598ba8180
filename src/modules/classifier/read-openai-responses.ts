import { countOf, isSet, objectOf, textOf, type JsonObject } from './json-shapes.js';
import type { PromptCollector } from './prompt-collector.js';
import { roleOf } from './read-openai-chat.js';

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
  const choice = body['tool_choice'];
  facts.toolChoiceForced = isSet(choice) && choice !== 'auto' && choice !== 'none';
  facts.maxOutputTokens = countOf(body['max_output_tokens']);
  facts.logprobs = isSet(body['top_logprobs']);
  facts.samplingSet = isSet(body['temperature']) || isSet(body['top_p']);
  facts.streaming = body['stream'] === true;
  into.effort(objectOf(body['reasoning'])['effort']);
  const format = objectOf(objectOf(body['text'])['format']);
  if (format['type'] === 'json_schema') {
    into.format('json_schema', format['name'], format['schema']);
  } else if (format['type'] === 'json_object') {
    into.format('json_mode', '', null);
  }
}

function readItem(item: JsonObject, into: PromptCollector): void {
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
      default:
    }
  }
}

function readTool(tool: JsonObject, into: PromptCollector): void {
  into.tool(tool['name'] ?? tool['type'], tool['parameters']);
  into.pinIf(tool['vector_store_ids'], 'file');
  if (typeof tool['container'] === 'string') into.pin('container');
}
