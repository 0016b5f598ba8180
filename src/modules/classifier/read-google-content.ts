import type { PromptFacts } from '../../domain/classification/prompt-facts.js';
import {
  countOf,
  inCamelCase,
  isCount,
  isFlag,
  isInteger,
  isList,
  isNumber,
  isObject,
  isSet,
  isText,
  isTexts,
  listOf,
  objectOf,
  shapes,
  textOf,
  type JsonObject,
  type Shapes,
} from './json-shapes.js';
import type { PromptCollector } from './prompt-collector.js';
import { roleOf } from './read-openai-chat.js';

const BODY = shapes({
  contents: isList,
  systemInstruction: isObject,
  generationConfig: isObject,
  tools: isList,
  toolConfig: isObject,
  cachedContent: isText,
  continuationToken: isText,
});
const CONFIG = shapes({
  maxOutputTokens: isCount,
  candidateCount: isCount,
  temperature: isNumber,
  topP: isNumber,
  topK: isNumber,
  stopSequences: isTexts,
  responseMimeType: isText,
  responseSchema: isObject,
  responseJsonSchema: isObject,
  responseLogprobs: isFlag,
  thinkingConfig: isObject,
});
const CONTENT = shapes({ role: isText, parts: isList });
const ROLES = new Set(['user', 'model', 'function']);
const PART = shapes({
  text: isText,
  inlineData: isObject,
  fileData: isObject,
  functionCall: isObject,
  functionResponse: isObject,
  thought: isFlag,
  thoughtSignature: isText,
});
const MEDIA = shapes({ mimeType: isText, data: isText, fileUri: isText, displayName: isText });
const TOOL = 'functionDeclarations';
const TOOL_CONFIG = shapes({ functionCallingConfig: isObject });
const CALLING = shapes({ mode: isText, allowedFunctionNames: isTexts });
const THINKING = shapes({
  thinkingLevel: isText,
  // -1 leaves it to the model.
  thinkingBudget: isInteger,
  includeThoughts: isFlag,
});
const RESPONSE_MODALITIES_MAX = 4;

/** The body of Google's generateContent, streamGenerateContent and countTokens. */
export function readGoogleContent(given: JsonObject, into: PromptCollector): void {
  const whole = inOneSpelling(given, into);
  const nested = whole['generateContentRequest'];
  const body = isObject(nested) ? inOneSpelling(nested, into) : whole;
  into.message('system');
  readParts(membersOf(body['systemInstruction'], CONTENT, into), into);
  for (const item of into.visit(body['contents'])) {
    if (!isObject(item)) into.unlisted();
    const content = membersOf(item, CONTENT, into);
    const { role } = content;
    if (isSet(role) && !ROLES.has(textOf(role))) into.unlisted();
    into.message(roleOf(role));
    readParts(content, into);
  }
  into.parameters(body, BODY);
  for (const item of into.visit(body['tools'])) readTool(item, into);
  const toolConfig = membersOf(body['toolConfig'], TOOL_CONFIG, into);
  const calling = membersOf(toolConfig['functionCallingConfig'], CALLING, into);
  into.facts.toolChoiceForced = textOf(calling['mode']).toUpperCase() === 'ANY';
  into.pinIf(body['cachedContent'], 'cached_content');
  into.pinIf(body['continuationToken'], 'continuation');
  readConfig(inOneSpelling(objectOf(body['generationConfig']), into), into);
}

/** One text for embedContent, several for batchEmbedContents. */
export function readGoogleEmbedding(body: JsonObject, into: PromptCollector): void {
  into.message('user');
  readParts(objectOf(body['content']), into);
  for (const request of into.visit(body['requests'])) {
    readParts(objectOf(objectOf(request)['content']), into);
  }
}

function readConfig(config: JsonObject, into: PromptCollector): void {
  const { facts } = into;
  into.parameters(config, CONFIG);
  facts.maxOutputTokens = countOf(config['maxOutputTokens']);
  facts.choices = countOf(config['candidateCount']) ?? 1;
  facts.logprobs = config['responseLogprobs'] === true;
  facts.samplingSet = ['temperature', 'topP', 'topK'].some((name) => isSet(config[name]));
  facts.stopSet = isSet(config['stopSequences']);
  for (const modality of listOf(config['responseModalities']).slice(0, RESPONSE_MODALITIES_MAX)) {
    if (textOf(modality).toUpperCase() === 'AUDIO') facts.hasAudio = true;
    if (textOf(modality).toUpperCase() === 'IMAGE') facts.hasImages = true;
  }
  readThinking(membersOf(config['thinkingConfig'], THINKING, into), into);
  const schema = config['responseSchema'] ?? config['responseJsonSchema'];
  const mimeType = config['responseMimeType'];
  if (isSet(schema)) into.format('json_schema', '', schema);
  else if (mimeType === 'application/json') into.format('json_mode', '', null);
  else if (isSet(mimeType) && mimeType !== 'text/plain') into.unlisted();
}

function readThinking(thinking: JsonObject, into: PromptCollector): void {
  if (isSet(thinking['includeThoughts'])) into.parameter('includeThoughts');
  into.effort(thinking['thinkingLevel']);
  const budget = thinking['thinkingBudget'];
  if (typeof budget !== 'number') return;
  into.facts.thinking = budget === 0 ? 'disabled' : budget < 0 ? 'adaptive' : 'budget';
}

/** As `members` of the collector, for names in either case. */
function membersOf(value: unknown, known: Shapes, into: PromptCollector): JsonObject {
  return into.members(isObject(value) ? inOneSpelling(value, into) : value, known);
}

/** Google takes both spellings of a name. Which one counts where both are set is not documented. */
function inOneSpelling(object: JsonObject, into: PromptCollector): JsonObject {
  const names = Object.keys(object);
  if (!names.some((name) => name.includes('_'))) return object;
  const spelt: Record<string, unknown> = {};
  for (const name of names) {
    if (!isSet(object[name])) continue;
    const camelCase = inCamelCase(name);
    if (Object.hasOwn(spelt, camelCase)) into.unlisted();
    spelt[camelCase] = object[name];
  }
  return spelt;
}

function readTool(value: unknown, into: PromptCollector): void {
  if (!isObject(value)) into.unlisted();
  const tool = inOneSpelling(objectOf(value), into);
  const names = Object.keys(tool).filter((name) => isSet(tool[name]));
  if (names.some((name) => name !== TOOL)) into.parameter('built_in_tools');
  const declarations = tool[TOOL];
  if (!isSet(declarations)) {
    // Search, code execution and the like, named by their only field.
    if (names[0] !== undefined) into.tool(names[0], null);
    return;
  }
  if (!isList(declarations)) into.unlisted();
  for (const item of into.visit(declarations)) {
    if (!isObject(item)) into.unlisted();
    const declaration = objectOf(item);
    const schema = declaration['parameters'] ?? declaration['parametersJsonSchema'];
    into.tool(declaration['name'], schema);
  }
}

function readParts({ parts }: JsonObject, into: PromptCollector): void {
  for (const item of into.visit(parts)) {
    if (!isObject(item)) into.unlisted();
    const part = membersOf(item, PART, into);
    if (part['thought'] === true) into.pin('thought_signature');
    into.text(part['text']);
    into.pinIf(part['thoughtSignature'], 'thought_signature');
    if (isSet(part['functionResponse'])) into.facts.toolResultCount += 1;
    if (isSet(part['fileData'])) into.pin('file');
    for (const media of [part['inlineData'], part['fileData']]) {
      if (isSet(media)) noteMedia(membersOf(media, MEDIA, into), into.facts);
    }
  }
}

function noteMedia(
  media: JsonObject,
  facts: { -readonly [Key in keyof PromptFacts]: PromptFacts[Key] },
): void {
  const mimeType = textOf(media['mimeType']);
  if (mimeType.startsWith('image/')) facts.hasImages = true;
  else if (mimeType.startsWith('audio/')) facts.hasAudio = true;
  else facts.hasDocuments = true;
}
