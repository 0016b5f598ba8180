import type { ThinkingMode } from '../../domain/classification/prompt-facts.js';
import { countOf, isSet, objectOf, textOf, type JsonObject } from './json-shapes.js';
import type { PromptCollector } from './prompt-collector.js';
import { roleOf } from './read-openai-chat.js';

/** Results of tools hold parts, which hold no further results. */
const NESTING_MAX = 2;

/** The body of Anthropic's Messages API, and of its token counting. */
export function readAnthropicMessages(body: JsonObject, into: PromptCollector): void {
  into.message('system');
  readContent(body['system'], into, 0);
  for (const item of into.visit(body['messages'])) {
    const message = objectOf(item);
    into.message(roleOf(message['role']));
    readContent(message['content'], into, 0);
  }
  for (const item of into.visit(body['tools'])) {
    const tool = objectOf(item);
    into.tool(tool['name'] ?? tool['type'], tool['input_schema']);
  }
  readParameters(body, into);
}

function readParameters(body: JsonObject, into: PromptCollector): void {
  const { facts } = into;
  const choice = textOf(objectOf(body['tool_choice'])['type']);
  facts.toolChoiceForced = choice === 'any' || choice === 'tool';
  facts.maxOutputTokens = countOf(body['max_tokens']);
  facts.samplingSet = ['temperature', 'top_p', 'top_k'].some((name) => isSet(body[name]));
  facts.stopSet = isSet(body['stop_sequences']);
  facts.streaming = body['stream'] === true;
  facts.thinking = thinkingOf(objectOf(body['thinking'])['type']);
  const output = objectOf(body['output_config']);
  into.effort(output['effort']);
  const format = objectOf(output['format'] ?? body['output_format']);
  if (format['type'] === 'json_schema') into.format('json_schema', '', format['schema']);
  into.pinIf(body['container'], 'container');
  into.pinIf(body['fallback_credit_token'], 'continuation');
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
      into.speaker('user');
      break;
    default:
  }
}
