// Runs in a thread of its own, from source in tests: no imports of this project.
import { parentPort } from 'node:worker_threads';
import { get_encoding } from 'tiktoken';

interface Job {
  readonly request: Uint8Array;
  readonly requestBytes: number;
  readonly answer: Uint8Array;
  readonly answerBytes: number;
}

/** The encoding's merge is quadratic on unbroken runs: short slices bound it, and overcount prose by under 1 %. */
const SLICE_CHARACTERS = 512;

/** Members of a request or an answer's event that hold what a model reads or writes. */
const TEXT_MEMBERS: ReadonlySet<string> = new Set([
  'messages', 'content', 'text', 'system', 'input', 'instructions', 'contents', 'parts', 'systemInstruction',
  'system_instruction', 'tools', 'functions', 'function', 'name', 'description', 'parameters', 'input_schema',
  'choices', 'delta', 'message', 'tool_calls', 'arguments', 'partial_json', 'thinking', 'reasoning',
  'reasoning_content', 'refusal', 'candidates', 'functionCall', 'args', 'content_block', 'output',
]); // prettier-ignore

const encoding = get_encoding('o200k_base');

parentPort?.on('message', (job: Job) => {
  parentPort?.postMessage(estimate(job));
});

function estimate(job: Job): { inputTokens: number; outputTokens: number } | null {
  try {
    const request = textOf(job.request);
    const input = countTexts(textsOf(parsed(request) ?? request));
    const output = countTexts(answerTexts(textOf(job.answer)));
    return {
      inputTokens: scaled(input, job.requestBytes, job.request.length),
      outputTokens: scaled(output, job.answerBytes, job.answer.length),
    };
  } catch {
    return null;
  }
}

function textOf({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('utf8');
}

function scaled(tokens: number, bytes: number, countedBytes: number): number {
  return countedBytes === 0 ? 0 : Math.round((tokens * bytes) / countedBytes);
}

function answerTexts(answer: string): string[] {
  const whole = parsed(answer);
  if (whole !== undefined) return textsOf(whole);
  const lines = answer.split('\n').filter((line) => line.startsWith('data:'));
  return lines.flatMap((line) => textsOf(parsed(line.slice(5)) ?? null));
}

function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap((element) => textsOf(element));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    TEXT_MEMBERS.has(key) ? textsOf(inner) : [],
  );
}

function countTexts(texts: readonly string[]): number {
  // Deltas are pieces of one text: counted apart, each piece would be rounded up to a token.
  const text = texts.join('');
  let tokens = 0;
  for (let at = 0; at < text.length; at += SLICE_CHARACTERS) {
    tokens += encoding.encode_ordinary(text.slice(at, at + SLICE_CHARACTERS)).length;
  }
  return tokens;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
