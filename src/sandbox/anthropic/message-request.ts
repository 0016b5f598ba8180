import { mentionsTool } from '../completion.js';
import { invalid, type Fault, type SandboxCall } from '../exchange.js';
import { arrayOf, countOf, objectOf, textOf, type JsonObject } from '../json-value.js';
import { findModel, type SandboxModel } from '../models.js';
import { wordsOf } from '../prompt.js';
import { cacheBlocksOf, refuseBreakpoints, type CacheBlock } from './cache.js';
import { refuseForModel } from './model-rules.js';

/** A messages request that passed the provider's checks. */
export interface MessageRequest {
  readonly kind: 'message_request';
  readonly model: SandboxModel;
  readonly blocks: readonly CacheBlock[];
  /** 0 fills the cache and answers nothing. */
  readonly tokensMax: number;
  readonly tool: { readonly name: string; readonly schema: unknown } | null;
  readonly json: { readonly schema: unknown } | null;
}

/** `counting`: the request asks for its number of tokens only, so it needs no `max_tokens`. */
export function readMessageRequest(call: SandboxCall, counting: boolean): MessageRequest | Fault {
  const { body } = call;
  const version = call.headers['anthropic-version'];
  if (typeof version !== 'string') return invalid('anthropic-version: header is required');
  const named = textOf(body['model']);
  if (named === null) return invalid('model: Field required');
  const model = findModel('anthropic', named);
  if (model === null) {
    const message = `model: ${named.slice(0, 80)}`;
    return { kind: 'fault', cause: 'model_not_found', message };
  }
  const tokensMax = countOf(body['max_tokens']);
  if (tokensMax === null && !counting) return invalid('max_tokens: Field required');
  const refused = refuseMessages(body['messages']) ?? refuseForModel(model.id, version, body);
  if (refused !== null) return refused;
  const blocks = cacheBlocksOf(body);
  return (
    refuseBreakpoints(blocks) ?? {
      kind: 'message_request',
      model,
      blocks,
      tokensMax: tokensMax ?? 0,
      tool: toolToCall(body),
      json: jsonWanted(body),
    }
  );
}

function refuseMessages(messages: unknown): Fault | null {
  if (messages === undefined) return invalid('messages: Field required');
  const list = arrayOf(messages);
  if (list.length === 0) return invalid('messages: at least one message is required');
  const misplaced = list.findIndex((message) => {
    const role = objectOf(message)?.['role'];
    return role !== 'user' && role !== 'assistant' && role !== 'system';
  });
  if (misplaced === -1) return null;
  return invalid(`messages.${misplaced}.role: Input should be 'user' or 'assistant'`);
}

function toolToCall(body: JsonObject): MessageRequest['tool'] {
  const tools = arrayOf(body['tools'])
    .map(objectOf)
    .filter((tool) => tool !== null && tool['input_schema'] !== undefined);
  const first = tools[0];
  const choice = objectOf(body['tool_choice']);
  if (!first || choice?.['type'] === 'none') return null;
  const forced = choice?.['type'] === 'tool' ? textOf(choice['name']) : null;
  const last = objectOf(arrayOf(body['messages']).at(-1));
  const asked = last?.['role'] === 'user' && mentionsTool(wordsOf(last['content']));
  if (forced === null && choice?.['type'] !== 'any' && !asked) return null;
  const chosen = tools.find((tool) => tool?.['name'] === forced) ?? first;
  return { name: textOf(chosen['name']) ?? 'tool', schema: chosen['input_schema'] };
}

function jsonWanted(body: JsonObject): MessageRequest['json'] {
  const format =
    objectOf(objectOf(body['output_config'])?.['format']) ?? objectOf(body['output_format']);
  return format?.['type'] === 'json_schema' ? { schema: format['schema'] } : null;
}
