import type { ThinkingMode } from '../../domain/classification/prompt-facts.js';
import { countOf, isSet, namesSet, objectOf, textOf, type JsonObject } from './json-shapes.js';
import type { PromptCollector } from './prompt-collector.js';
import { roleOf } from './read-openai-chat.js';

const MESSAGE = new Set(['role', 'content']);
const BLOCK = new Set([
  ...['type', 'text', 'cache_control', 'citations', 'source', 'title', 'context', 'file_id'],
  ...['thinking', 'signature', 'data', 'id', 'name', 'input', 'tool_use_id', 'content', 'is_error'],
]);
const SOURCE = new Set(['type', 'media_type', 'data', 'url', 'content', 'file_id']);
const TOOL = new Set(['type', 'name', 'description', 'input_schema', 'cache_control', 'strict']);
const TOOL_CHOICE = new Set(['type', 'name', 'disable_parallel_tool_use']);
const THINKING = new Set(['type', 'budget_tokens', 'display']);
const OUTPUT_CONFIG = new Set(['effort', 'format']);

/** Results of tools hold parts, which hold no further results. */
const NESTING_MAX = 2;

/** The body of Anthropic's Messages API, and of its token counting. */
export function readAnthropicMessages(body: JsonObject, into: PromptCollector): void {
  into.message('system');
  readContent(body['system'], into, 0);
  for (const item of into.visit(body['messages'])) {
    const message = objectOf(item);
    into.message(roleOf(message['role']));
    into.members(message, MESSAGE);
    if (message['role'] !== 'user' && message['role'] !== 'assistant') into.unlisted();
    readContent(message['content'], into, 0);
  }
  for (const item of into.visit(body['tools'])) {
    const tool = objectOf(item);
    into.tool(tool['name'] ?? tool['type'], tool['input_schema']);
    into.members(tool, TOOL);
    if (isSet(tool['type']) && tool['type'] !== 'custom') into.parameters(['built_in_tools']);
  }
  readParameters(body, into);
}

function readParameters(body: JsonObject, into: PromptCollector): void {
  const { facts } = into;
  into.parameters(namesSet(body));
  const toolChoice = objectOf(body['tool_choice']);
  into.members(toolChoice, TOOL_CHOICE);
  facts.parallelToolsSet = isSet(toolChoice['disable_parallel_tool_use']);
  const choice = textOf(toolChoice['type']);
  facts.toolChoiceForced = choice === 'any' || choice === 'tool';
  facts.maxOutputTokens = countOf(body['max_tokens']);
  facts.samplingSet = ['temperature', 'top_p', 'top_k'].some((name) => isSet(body[name]));
  facts.stopSet = isSet(body['stop_sequences']);
  facts.streaming = body['stream'] === true;
  readThinking(objectOf(body['thinking']), into);
  const output = objectOf(body['output_config']);
  into.members(output, OUTPUT_CONFIG);
  into.effort(output['effort']);
  const format = objectOf(output['format'] ?? body['output_format']);
  if (format['type'] === 'json_schema') into.format('json_schema', '', format['schema']);
  else if (isSet(format['type'])) into.unlisted();
  into.pinIf(body['container'], 'container');
  into.pinIf(body['fallback_credit_token'], 'continuation');
  into.pinIf(body['thread'], 'conversation');
}

function readThinking(thinking: JsonObject, into: PromptCollector): void {
  into.members(thinking, THINKING);
  into.facts.thinking = thinkingOf(thinking['type']);
}

function thinkingOf(type: unknown): ThinkingMode {
  switch (type) {
    case undefined:
    case null:
      return 'unset';
    case 'enabled':
      return 'budget';
    case 'disabled':
    case 'adaptive':
    case 'between_tools':
      return type;
    default:
      return 'other';
  }
}

function readContent(content: unknown, into: PromptCollector, depth: number): void {
  if (typeof content === 'string') {
    into.text(content);
    return;
  }
  for (const item of into.visit(content)) {
    if (!into.part()) return;
    readBlock(objectOf(item), into, depth);
  }
}

function readBlock(block: JsonObject, into: PromptCollector, depth: number): void {
  const { facts } = into;
  const source = objectOf(block['source']);
  if (source['type'] === 'file') into.pin('file');
  into.members(block, BLOCK);
  into.members(source, SOURCE);
  switch (block['type']) {
    case 'text':
      into.text(block['text']);
      break;
    case 'image':
      facts.hasImages = true;
      break;
    case 'document':
      facts.hasDocuments = true;
      break;
    case 'thinking':
    case 'redacted_thinking':
      into.pin('thinking_signature');
      break;
    case 'container_upload':
      into.pin('file');
      break;
    case 'tool_result':
      // It comes in a user's message, but nobody asks anything in it.
      facts.toolResultCount += 1;
      into.speaker('tool');
      if (depth < NESTING_MAX) readContent(block['content'], into, depth + 1);
      else into.unlisted();
      into.speaker('user');
      break;
    case 'tool_use':
      break;
    default:
      into.unlisted();
  }
}
