import type { PromptFacts } from '../../domain/classification/prompt-facts.js';
import {
  countOf,
  eitherOf,
  isObject,
  isSet,
  listOf,
  objectOf,
  textOf,
  type JsonObject,
} from './json-shapes.js';
import type { PromptCollector } from './prompt-collector.js';
import { roleOf } from './read-openai-chat.js';

/** The body of Google's generateContent, streamGenerateContent and countTokens. */
export function readGoogleContent(whole: JsonObject, into: PromptCollector): void {
  const nested = eitherOf(whole, 'generateContentRequest', 'generate_content_request');
  const body = isObject(nested) ? nested : whole;
  into.message('system');
  readParts(eitherOf(body, 'systemInstruction', 'system_instruction'), into);
  for (const content of into.visit(body['contents'])) {
    into.message(roleOf(objectOf(content)['role']));
    readParts(content, into);
  }
  for (const item of into.visit(body['tools'])) readTool(objectOf(item), into);
  const toolConfig = objectOf(eitherOf(body, 'toolConfig', 'tool_config'));
  const calling = objectOf(
    eitherOf(toolConfig, 'functionCallingConfig', 'function_calling_config'),
  );
  into.facts.toolChoiceForced = textOf(calling['mode']).toUpperCase() === 'ANY';
  into.pinIf(eitherOf(body, 'cachedContent', 'cached_content'), 'cached_content');
  into.pinIf(eitherOf(body, 'continuationToken', 'continuation_token'), 'continuation');
  readConfig(objectOf(eitherOf(body, 'generationConfig', 'generation_config')), into);
}

/** One text for embedContent, several for batchEmbedContents. */
export function readGoogleEmbedding(body: JsonObject, into: PromptCollector): void {
  into.message('user');
  readParts(body['content'], into);
  for (const request of into.visit(body['requests'])) readParts(objectOf(request)['content'], into);
}

function readConfig(config: JsonObject, into: PromptCollector): void {
  const { facts } = into;
  facts.maxOutputTokens = countOf(eitherOf(config, 'maxOutputTokens', 'max_output_tokens'));
  facts.choices = countOf(eitherOf(config, 'candidateCount', 'candidate_count')) ?? 1;
  facts.logprobs = eitherOf(config, 'responseLogprobs', 'response_logprobs') === true;
  facts.samplingSet =
    isSet(config['temperature']) ||
    isSet(eitherOf(config, 'topP', 'top_p')) ||
    isSet(eitherOf(config, 'topK', 'top_k'));
  facts.stopSet = isSet(eitherOf(config, 'stopSequences', 'stop_sequences'));
  for (const modality of listOf(
    eitherOf(config, 'responseModalities', 'response_modalities'),
  ).slice(0, 4)) {
    if (textOf(modality).toUpperCase() === 'AUDIO') facts.hasAudio = true;
    if (textOf(modality).toUpperCase() === 'IMAGE') facts.hasImages = true;
  }
  readThinking(objectOf(eitherOf(config, 'thinkingConfig', 'thinking_config')), into);
  const schema =
    eitherOf(config, 'responseSchema', 'response_schema') ??
    eitherOf(config, 'responseJsonSchema', 'response_json_schema');
  const mimeType = eitherOf(config, 'responseMimeType', 'response_mime_type');
  if (isSet(schema)) into.format('json_schema', '', schema);
  else if (mimeType === 'application/json') into.format('json_mode', '', null);
}

function readThinking(thinking: JsonObject, into: PromptCollector): void {
  into.effort(eitherOf(thinking, 'thinkingLevel', 'thinking_level'));
  const budget = eitherOf(thinking, 'thinkingBudget', 'thinking_budget');
  if (typeof budget !== 'number') return;
  into.facts.thinking = budget === 0 ? 'disabled' : budget < 0 ? 'adaptive' : 'budget';
}

function readTool(tool: JsonObject, into: PromptCollector): void {
  const declarations = eitherOf(tool, 'functionDeclarations', 'function_declarations');
  if (!isSet(declarations)) {
    // Search, code execution and the like, named by their only field.
    for (const name in tool) {
      into.tool(name, null);
      return;
    }
  }
  for (const item of into.visit(declarations)) {
    const declaration = objectOf(item);
    const schema = declaration['parameters'] ?? declaration['parametersJsonSchema'];
    into.tool(declaration['name'], schema);
  }
}

function readParts(content: unknown, into: PromptCollector): void {
  if (typeof content === 'string') {
    into.text(content);
    return;
  }
  for (const item of into.visit(objectOf(content)['parts'])) {
    if (!into.part()) return;
    const part = objectOf(item);
    into.text(part['text']);
    into.pinIf(eitherOf(part, 'thoughtSignature', 'thought_signature'), 'thought_signature');
    if (isSet(eitherOf(part, 'functionResponse', 'function_response'))) {
      into.facts.toolResultCount += 1;
    }
    const file = eitherOf(part, 'fileData', 'file_data');
    if (isSet(file)) into.pin('file');
    noteMedia(objectOf(eitherOf(part, 'inlineData', 'inline_data') ?? file), into.facts);
  }
}

function noteMedia(
  media: JsonObject,
  facts: { -readonly [Key in keyof PromptFacts]: PromptFacts[Key] },
): void {
  const mimeType = textOf(eitherOf(media, 'mimeType', 'mime_type'));
  if (mimeType === '') return;
  if (mimeType.startsWith('image/')) facts.hasImages = true;
  else if (mimeType.startsWith('audio/')) facts.hasAudio = true;
  else facts.hasDocuments = true;
}
