import type { ThinkingMode } from '../../domain/classification/prompt-facts.js';
import {
  countOf,
  isCount,
  isFlag,
  isList,
  isNumber,
  isObject,
  isObjectOrList,
  isSet,
  isText,
  isTextOrList,
  isTextOrObject,
  isTexts,
  shapes,
  textOf,
  type JsonObject,
} from './json-shapes.js';
import type { PromptCollector } from './prompt-collector.js';
import { roleOf } from './read-openai-chat.js';

const BODY = shapes({
  model: isText,
  messages: isList,
  system: isTextOrList,
  stream: isFlag,
  metadata: isObject,
  cache_control: isObject,
  max_tokens: isCount,
  stop_sequences: isTexts,
  temperature: isNumber,
  top_p: isNumber,
  top_k: isCount,
  thinking: isObject,
  output_config: isObject,
  output_format: isObject,
  tools: isList,
  tool_choice: isObject,
  container: isTextOrObject,
  fallback_credit_token: isText,
  thread: isTextOrObject,
});
const MESSAGE = shapes({ role: isText, content: isTextOrList });
const BLOCK = shapes({
  type: isText,
  text: isText,
  cache_control: isObject,
  citations: isObjectOrList,
  source: isObject,
  title: isText,
  context: isText,
  file_id: isText,
  thinking: isText,
  signature: isText,
  data: isText,
  id: isText,
  name: isText,
  input: isObject,
  tool_use_id: isText,
  content: isTextOrList,
  is_error: isFlag,
});
const SOURCE = shapes({
  type: isText,
  media_type: isText,
  data: isText,
  url: isText,
  content: isTextOrList,
  file_id: isText,
});
const TOOL = shapes({
  type: isText,
  name: isText,
  description: isText,
  input_schema: isObject,
  cache_control: isObject,
  strict: isFlag,
});
const TOOL_CHOICE = shapes({ type: isText, name: isText, disable_parallel_tool_use: isFlag });
const THINKING = shapes({ type: isText, budget_tokens: isCount, display: isText });
const OUTPUT_CONFIG = shapes({ effort: isText, format: isObject });
const FORMAT = shapes({ type: isText, name: isText, schema: isObject });

/** Results of tools hold documents, which hold parts, which hold no further ones. */
const NESTING_MAX = 2;

/** The body of Anthropic's Messages API, and of its token counting. */
export function readAnthropicMessages(body: JsonObject, into: PromptCollector): void {
  into.message('system');
  readContent(body['system'], into, 0);
  for (const item of into.visit(body['messages'])) {
    const message = into.element(item, MESSAGE);
    into.message(roleOf(message['role']));
    if (message['role'] !== 'user' && message['role'] !== 'assistant') into.unlisted();
    readContent(message['content'], into, 0);
  }
  for (const item of into.visit(body['tools'])) {
    const tool = into.element(item, TOOL);
    into.tool(tool['name'] ?? tool['type'], tool['input_schema']);
    if (isSet(tool['type']) && tool['type'] !== 'custom') into.parameter('built_in_tools');
  }
  readParameters(body, into);
}

function readParameters(body: JsonObject, into: PromptCollector): void {
  const { facts } = into;
  into.parameters(body, BODY);
  const toolChoice = into.members(body['tool_choice'], TOOL_CHOICE);
  facts.parallelToolsSet = isSet(toolChoice['disable_parallel_tool_use']);
  const choice = textOf(toolChoice['type']);
  facts.toolChoiceForced = choice === 'any' || choice === 'tool';
  facts.maxOutputTokens = countOf(body['max_tokens']);
  facts.samplingSet = ['temperature', 'top_p', 'top_k'].some((name) => isSet(body[name]));
  facts.stopSet = isSet(body['stop_sequences']);
  facts.streaming = body['stream'] === true;
  if (isSet(body['thinking'])) {
    facts.thinking = thinkingOf(into.members(body['thinking'], THINKING)['type']);
  }
  const output = into.members(body['output_config'], OUTPUT_CONFIG);
  into.effort(output['effort']);
  readFormat(output['format'], into);
  readFormat(body['output_format'], into);
  into.pinIf(body['container'], 'container');
  into.pinIf(body['fallback_credit_token'], 'continuation');
  into.pinIf(body['thread'], 'conversation');
}

function readFormat(value: unknown, into: PromptCollector): void {
  if (!isSet(value)) return;
  const format = into.members(value, FORMAT);
  if (format['type'] === 'json_schema') into.format('json_schema', '', format['schema']);
  else into.unlisted();
}

function thinkingOf(type: unknown): ThinkingMode {
  switch (type) {
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
    readBlock(into.element(item, BLOCK), into, depth);
  }
}

function readBlock(block: JsonObject, into: PromptCollector, depth: number): void {
  const { facts } = into;
  const source = into.members(block['source'], SOURCE);
  if (source['type'] === 'file') into.pin('file');
  if (isSet(source['content'])) readQuoted(source['content'], into, depth);
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
      facts.toolResultCount += 1;
      readQuoted(block['content'], into, depth);
      break;
    case 'tool_use':
      break;
    default:
      into.unlisted();
  }
}

/** It comes in a user's message, but nobody asks anything in it. */
function readQuoted(content: unknown, into: PromptCollector, depth: number): void {
  if (depth >= NESTING_MAX) {
    into.unlisted();
    return;
  }
  into.speaker('tool');
  readContent(content, into, depth + 1);
  if (depth === 0) into.speaker('user');
}
