import { mentionsTool } from '../completion.js';
import { invalid, type Fault } from '../exchange.js';
import { arrayOf, countOf, objectOf, textOf, type JsonObject } from '../json-value.js';
import { findModel, type SandboxModel } from '../models.js';
import { jsonSegment, segmentOf, wordsOf, type PromptSegment } from '../prompt.js';

/** A generateContent request that passed the provider's checks. */
export interface GenerateRequest {
  readonly kind: 'generate_request';
  readonly model: SandboxModel;
  readonly segments: readonly PromptSegment[];
  readonly tokensMax: number | null;
  readonly thoughtsTokens: number;
  readonly candidates: number;
  readonly tool: { readonly name: string; readonly schema: unknown } | null;
  readonly json: { readonly schema: unknown } | null;
}

const CANDIDATES_MAX = 8;

const THOUGHTS: Readonly<Record<string, number>> = { minimal: 0, low: 16, medium: 48, high: 96 };

export function findGoogleModel(named: string, kind: 'chat' | 'embedding'): SandboxModel | Fault {
  const model = findModel('google', named);
  if (model?.kind === kind) return model;
  return {
    kind: 'fault',
    cause: 'model_not_found',
    message: `models/${named.slice(0, 80)} is not found, or is not supported for this method. Call ListModels to see the list of available models.`,
  };
}

export function readGenerateRequest(named: string, body: JsonObject): GenerateRequest | Fault {
  const model = findGoogleModel(named, 'chat');
  if (model.kind === 'fault') return model;
  const contents = arrayOf(body['contents']);
  if (contents.length === 0) {
    return invalid('* GenerateContentRequest.contents: contents is not specified\n');
  }
  const config = objectOf(body['generationConfig']) ?? {};
  const thinking = objectOf(config['thinkingConfig']) ?? {};
  const refused = refuseThinking(model.id, thinking) ?? refuseSignatures(model.id, contents);
  if (refused !== null) return refused;
  return {
    kind: 'generate_request',
    model,
    segments: segmentsOf(body),
    tokensMax: countOf(config['maxOutputTokens']),
    thoughtsTokens: thoughtsTokensOf(model.id, thinking),
    candidates: Math.min(Math.max(countOf(config['candidateCount']) ?? 1, 1), CANDIDATES_MAX),
    tool: toolToCall(body, contents),
    json: jsonWanted(config),
  };
}

export function segmentsOf(body: JsonObject): PromptSegment[] {
  const segments: PromptSegment[] = [];
  if (body['tools'] !== undefined) segments.push(jsonSegment('tools', body['tools']));
  const system = objectOf(body['systemInstruction'] ?? body['system_instruction']);
  if (system !== null) segments.push(segmentOf('system', system['parts']));
  for (const content of arrayOf(body['contents'])) {
    const object = objectOf(content) ?? {};
    segments.push(segmentOf(textOf(object['role']) ?? 'user', object['parts'] ?? []));
  }
  return segments;
}

/** Ties a signature to the model that gave it: any other refuses it. */
export function signatureFor(model: string): string {
  return Buffer.from(`sandbox-thought:${model}`).toString('base64');
}

const isThird = (model: string): boolean => /^gemini-(?:[3-9]|flash-latest)/.test(model);

// From version 3 on a function call must come back with the signature it was given.
function refuseSignatures(model: string, contents: readonly unknown[]): Fault | null {
  if (!isThird(model)) return null;
  for (const content of contents) {
    const parts = arrayOf(objectOf(content)?.['parts']).map(objectOf);
    const first = parts.find((part) => part?.['functionCall'] !== undefined);
    if (first === undefined || first === null) continue;
    if (first['thoughtSignature'] === undefined) {
      return invalid('Function call is missing a thought_signature in functionCall parts.');
    }
    if (first['thoughtSignature'] !== signatureFor(model)) {
      return invalid('Thought signature is not valid.');
    }
  }
  return null;
}

function refuseThinking(model: string, thinking: JsonObject): Fault | null {
  const hasBudget = thinking['thinkingBudget'] !== undefined;
  if (hasBudget && thinking['thinkingLevel'] !== undefined) {
    return invalid('You can only set one of thinking budget and thinking level.');
  }
  if (hasBudget && model.startsWith('gemini-4')) {
    return invalid('Thinking budget is not supported by this model.');
  }
  if (thinking['thinkingBudget'] === 0 && model === 'gemini-2.5-pro') {
    return invalid('Budget 0 is invalid. This model only works in thinking mode.');
  }
  if (!isThird(model) && thinking['thinkingLevel'] !== undefined) {
    return invalid('Thinking level is not supported for this model.');
  }
  return null;
}

function thoughtsTokensOf(model: string, thinking: JsonObject): number {
  const budget = countOf(thinking['thinkingBudget']);
  if (budget !== null) return Math.min(budget, 48);
  const level = textOf(thinking['thinkingLevel'])?.toLowerCase();
  if (level !== undefined) return THOUGHTS[level] ?? 48;
  return model.includes('lite') ? 0 : 48;
}

function toolToCall(body: JsonObject, contents: readonly unknown[]): GenerateRequest['tool'] {
  const declarations = arrayOf(body['tools'])
    .flatMap((tool) => arrayOf(objectOf(tool)?.['functionDeclarations']))
    .map(objectOf)
    .filter((declaration) => declaration !== null);
  const config = objectOf(objectOf(body['toolConfig'])?.['functionCallingConfig']);
  const mode = textOf(config?.['mode'])?.toUpperCase();
  if (declarations.length === 0 || mode === 'NONE') return null;
  const allowed = arrayOf(config?.['allowedFunctionNames']);
  const chosen =
    declarations.find((declaration) => allowed.includes(declaration['name'])) ?? declarations[0];
  const last = objectOf(contents.at(-1));
  const asked = last?.['role'] !== 'model' && mentionsTool(wordsOf(last?.['parts']));
  if (mode !== 'ANY' && !asked) return null;
  return {
    name: textOf(chosen?.['name']) ?? 'function',
    schema: chosen?.['parameters'] ?? chosen?.['parametersJsonSchema'],
  };
}

function jsonWanted(config: JsonObject): GenerateRequest['json'] {
  if (config['responseMimeType'] !== 'application/json') return null;
  return { schema: config['responseSchema'] ?? config['responseJsonSchema'] ?? null };
}
