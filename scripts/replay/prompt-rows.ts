import { createReadStream, type ReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createGunzip, type Gunzip } from 'node:zlib';

/** A longer line is not a prompt, and must not fill the memory. */
const LINE_CHARACTERS_MAX = 8 * 1_048_576;

export interface PromptRow {
  readonly prompt: string;
  readonly system: string | null;
  readonly model: string | null;
  readonly tools: readonly PromptTool[];
}

export interface PromptTool {
  readonly name: string;
  readonly description: string;
  /** A JSON schema. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

export type ReadRow =
  | { readonly kind: 'row'; readonly line: number; readonly row: PromptRow }
  | { readonly kind: 'malformed'; readonly line: number; readonly reason: string };

/** A file of prompts, read line by line; `share` says how far, from 0 to 1. */
export interface PromptFile {
  readonly rows: AsyncGenerator<ReadRow>;
  readonly share: () => number;
}

/** Opens the file; rejects where there is none, or where it is no file. */
export async function openPrompts(path: string): Promise<PromptFile> {
  const found = await stat(path);
  if (!found.isFile()) throw new Error(`${path} is not a file.`);
  const source = createReadStream(path);
  const sizeBytes = Math.max(1, found.size);
  return {
    rows: rowsOf(linesOf(textOf(source, path.endsWith('.gz')))),
    share: () => Math.min(1, source.bytesRead / sizeBytes),
  };
}

async function* textOf(source: ReadStream, packed: boolean): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const bytes: AsyncIterable<Buffer> = packed ? unpack(source) : source;
  for await (const chunk of bytes) yield decoder.decode(chunk, { stream: true });
  yield decoder.decode();
}

function unpack(source: ReadStream): Gunzip {
  const gunzip = createGunzip();
  // A pipe does not hand errors on.
  source.on('error', (error) => gunzip.destroy(error));
  return source.pipe(gunzip);
}

/** Whole lines from pieces of text. A line over the bound is given as null. */
export async function* linesOf(
  pieces: AsyncIterable<string>,
  charactersMax: number = LINE_CHARACTERS_MAX,
): AsyncGenerator<string | null> {
  let pending = '';
  let overlong = false;
  for await (const piece of pieces) {
    const lines = piece.split('\n');
    for (const [at, part] of lines.entries()) {
      if (!overlong) pending += part;
      if (pending.length > charactersMax) {
        overlong = true;
        pending = '';
      }
      if (at === lines.length - 1) break;
      yield overlong ? null : pending;
      pending = '';
      overlong = false;
    }
  }
  if (overlong || pending !== '') yield overlong ? null : pending;
}

/** Rows with their line numbers, from 1; blank lines are passed over. */
export async function* rowsOf(lines: AsyncIterable<string | null>): AsyncGenerator<ReadRow> {
  let line = 0;
  for await (const text of lines) {
    line += 1;
    if (text?.trim() === '') continue;
    const read = text === null ? 'the line is too long' : readRow(text);
    yield typeof read === 'string'
      ? { kind: 'malformed', line, reason: read }
      : { kind: 'row', line, row: read };
  }
}

/** The row of a line, or why there is none. */
export function readRow(text: string): PromptRow | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'not JSON';
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'not an object';
  const { prompt, system, model, tools } = value as Record<string, unknown>;
  if (typeof prompt !== 'string' || prompt === '') return 'no "prompt" text';
  const read = readTools(tools);
  if (read === null) return 'a tool without a name';
  return {
    prompt,
    system: typeof system === 'string' && system !== '' ? system : null,
    model: typeof model === 'string' && model !== '' ? model : null,
    tools: read,
  };
}

// As a bare function, or as OpenAI wraps it.
function readTools(tools: unknown): PromptTool[] | null {
  if (!Array.isArray(tools)) return [];
  const read: PromptTool[] = [];
  for (const item of tools as readonly unknown[]) {
    const outer = (item ?? {}) as Record<string, unknown>;
    const inner = (outer['function'] ?? outer) as Record<string, unknown>;
    if (typeof inner['name'] !== 'string' || inner['name'] === '') return null;
    read.push({
      // Providers take letters, digits, _ and - only, and no more than 64 of them.
      name: inner['name'].replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 64),
      description: typeof inner['description'] === 'string' ? inner['description'] : '',
      parameters: (schemaOf(inner['parameters']) ?? {}) as Record<string, unknown>,
    });
  }
  return read;
}

// Tool lists written for Python and Java name types in their own words.
const TYPES: Readonly<Record<string, string>> = {
  dict: 'object',
  hashmap: 'object',
  float: 'number',
  double: 'number',
  long: 'integer',
  tuple: 'array',
  arraylist: 'array',
  list: 'array',
  array: 'array',
  boolean: 'boolean',
  bool: 'boolean',
  integer: 'integer',
  int: 'integer',
  number: 'number',
  object: 'object',
  string: 'string',
};

const SCHEMA_DEPTH_MAX = 32;

function schemaOf(schema: unknown, depth = 0): unknown {
  if (depth > SCHEMA_DEPTH_MAX || typeof schema !== 'object' || schema === null) return schema;
  if (Array.isArray(schema)) return schema.map((item) => schemaOf(item, depth + 1));
  const converted: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(schema)) {
    const isType = name === 'type' && typeof member === 'string';
    converted[name] = isType
      ? (TYPES[member.toLowerCase()] ?? 'string')
      : schemaOf(member, depth + 1);
  }
  // Providers refuse an array that does not say what it holds.
  if (converted['type'] === 'array') converted['items'] ??= { type: 'string' };
  return converted;
}
