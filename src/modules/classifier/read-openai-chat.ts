import { countOf, isSet, objectOf, textOf, type JsonObject } from './json-shapes.js';
import type { PromptCollector, Role } from './prompt-collector.js';

/** The body of chat completions, as OpenAI and Groq take it. */
export function readOpenAiChat(body: JsonObject, into: PromptCollector): void {
  for (const item of into.visit(body['messages'])) {
    const message = objectOf(item);
    into.message(roleOf(message['role']));
    readContent(message['content'], into);
    if (isSet(objectOf(message['audio'])['id'])) into.pin('item_reference');
  }
  for (const item of into.visit(body['tools'])) {
    const tool = objectOf(item);
    const definition = objectOf(tool['function'] ?? tool['custom']);
    into.tool(definition['name'], definition['parameters']);
  }
  readChatParameters(body, into);
  readResponseFormat(objectOf(body['response_format']), into);
}

function readChatParameters(body: JsonObject, into: PromptCollector): void {
  const { facts } = into;
  const choice = body['tool_choice'];
  facts.toolChoiceForced = isSet(choice) && choice !== 'auto' && choice !== 'none';
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

function readResponseFormat(format: JsonObject, into: PromptCollector): void {
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
      default:
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
