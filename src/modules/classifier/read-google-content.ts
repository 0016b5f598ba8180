import type { PromptFacts } from '../../domain/classification/prompt-facts.js';
import {
  inCamelCase,
  countOf,
  eitherOf,
  isObject,
  isSet,
  listOf,
  namesSet,
  objectOf,
  textOf,
  type JsonObject,
} from './json-shapes.js';
import type { PromptCollector } from './prompt-collector.js';
import { roleOf } from './read-openai-chat.js';

const CONTENT = new Set(['role', 'parts']);
const PART = new Set([
  ...['text', 'inlineData', 'fileData', 'functionCall', 'functionResponse'],
  ...['thought', 'thoughtSignature'],
]);
const TOOL = new Set(['functionDeclarations']);
const TOOL_CONFIG = new Set(['functionCallingConfig']);
const CALLING = new Set(['mode', 'allowedFunctionNames']);
const THINKING = new Set(['thinkingLevel', 'thinkingBudget', 'includeThoughts']);

/** The body of Google's generateContent, streamGenerateContent and countTokens. */
export function readGoogleContent(whole: JsonObject, into: PromptCollector): void {
  const nested = eitherOf(whole, 'generateContentRequest', 'generate_content_request');
  const body = isObject(nested) ? nested : whole;
  into.message('system');
  readParts(eitherOf(body, 'systemInstruction', 'system_instruction'), into);
  for (const content of into.visit(body['contents'])) {
    into.message(roleOf(objectOf(content)['role']));
    membersOf(objectOf(content), CONTENT, into);
    readParts(content, into);
  }
  into.parameters(namesSet(body).map(inCamelCase));
  for (const item of into.visit(body['tools'])) readTool(objectOf(item), into);
  const toolConfig = objectOf(eitherOf(body, 'toolConfig', 'tool_config'));
  const calling = objectOf(
    eitherOf(toolConfig, 'functionCallingConfig', 'function_calling_config'),
  );
  membersOf(toolConfig, TOOL_CONFIG, into);
  membersOf(calling, CALLING, into);
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
  into.parameters(namesSet(config).map(inCamelCase));
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
  else if (isSet(mimeType) && mimeType !== 'text/plain') into.unlisted();
}

function readThinking(thinking: JsonObject, into: PromptCollector): void {
  membersOf(thinking, THINKING, into);
  if (isSet(eitherOf(thinking, 'includeThoughts', 'include_thoughts'))) {
    into.parameters(['includeThoughts']);
  }
  into.effort(eitherOf(thinking, 'thinkingLevel', 'thinking_level'));
  const budget = eitherOf(thinking, 'thinkingBudget', 'thinking_budget');
  if (typeof budget !== 'number') return;
  into.facts.thinking = budget === 0 ? 'disabled' : budget < 0 ? 'adaptive' : 'budget';
}

/** As `members` of the collector, for names in either case. */
function membersOf(object: JsonObject, known: ReadonlySet<string>, into: PromptCollector): void {
  for (const name of namesSet(object)) if (!known.has(inCamelCase(name))) into.unlisted();
}

function readTool(tool: JsonObject, into: PromptCollector): void {
  if (namesSet(tool).some((name) => !TOOL.has(inCamelCase(name)))) {
    into.parameters(['built_in_tools']);
  }
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
    membersOf(part, PART, into);
    if (part['thought'] === true) into.pin('thought_signature');
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
