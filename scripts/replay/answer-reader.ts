import type { Api } from './options.js';

/** Of an answer, no more than this is kept at a time. */
const TEXT_CHARACTERS_MAX = 8 * 1_048_576;

export interface AnswerTokens {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

export interface ReadAnswer {
  /** Null where the answer reported none. */
  readonly tokens: AnswerTokens | null;
  /** The provider's or the gateway's code of the error; null where there is none. */
  readonly errorCode: string | null;
  /** False where the answer broke off before its end. */
  readonly complete: boolean;
}

type Json = Record<string, unknown>;

/** The members that add up to all input, and to all output. */
const USAGE_MEMBERS: Readonly<Record<Api, readonly [readonly string[], readonly string[]]>> = {
  openai: [['prompt_tokens'], ['completion_tokens']],
  groq: [['prompt_tokens'], ['completion_tokens']],
  anthropic: [
    ['input_tokens', 'cache_read_input_tokens', 'cache_creation_input_tokens'],
    ['output_tokens'],
  ],
  google: [['promptTokenCount'], ['candidatesTokenCount', 'thoughtsTokenCount']],
};

/** Reads usage, error and end out of one answer as it arrives; keeps no more of it than one event. */
export class AnswerReader {
  private pending = '';
  private overlong = false;
  private input: number | null = null;
  private output: number | null = null;
  private errorCode: string | null = null;
  private ended = false;

  constructor(
    private readonly api: Api,
    private readonly stream: boolean,
  ) {}

  feed(text: string): void {
    if (this.overlong) return;
    this.pending += text;
    if (this.stream) this.takeEvents();
    if (this.pending.length > TEXT_CHARACTERS_MAX) {
      this.overlong = true;
      this.pending = '';
    }
  }

  finish(): ReadAnswer {
    if (this.stream) {
      this.pending += '\n';
      this.takeEvents();
    } else {
      this.ended = this.takeObject(this.pending);
    }
    return {
      tokens:
        this.input === null && this.output === null
          ? null
          : { inputTokens: this.input ?? 0, outputTokens: this.output ?? 0 },
      errorCode: this.errorCode,
      complete: this.ended || this.overlong,
    };
  }

  private takeEvents(): void {
    const lines = this.pending.split('\n');
    this.pending = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('data:')) continue;
      const data = line.slice(5).trim();
      if (data === '[DONE]') this.ended = true;
      else this.takeObject(data);
    }
  }

  /** False where the text is no JSON object. */
  private takeObject(text: string): boolean {
    let value: Json;
    try {
      value = JSON.parse(text) as Json;
    } catch {
      return false;
    }
    if (typeof value !== 'object' || value === null) return false;
    if (value['error'] !== undefined && value['error'] !== null) {
      this.errorCode = codeOf(value['error']);
    }
    this.takeUsage(value);
    if (value['type'] === 'message_stop' || isFinishedCandidate(value)) this.ended = true;
    return true;
  }

  private takeUsage(value: Json): void {
    const message = value['message'] as Json | undefined;
    const groq = value['x_groq'] as Json | undefined;
    const usage = value['usage'] ?? message?.['usage'] ?? groq?.['usage'] ?? value['usageMetadata'];
    if (typeof usage !== 'object' || usage === null) return;
    const counts = usage as Record<string, number | undefined>;
    const sum = (...names: string[]): number | null => {
      const found = names.map((name) => counts[name]).filter((count) => count !== undefined);
      return found.length === 0 ? null : found.reduce((total, count) => total + count, 0);
    };
    const [input, output] = USAGE_MEMBERS[this.api];
    // Later reports replace earlier ones, as far as they say anything.
    this.input = sum(...input) ?? this.input;
    this.output = sum(...output) ?? this.output;
  }
}

function isFinishedCandidate(value: Json): boolean {
  const candidates = value['candidates'];
  if (!Array.isArray(candidates)) return false;
  return candidates.some((candidate) => (candidate as Json)['finishReason'] !== undefined);
}

// The most exact word that the envelope has.
function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return 'error';
  const { code, type, status } = error as Json;
  const details = (error as Json)['details'] as Json | null | undefined;
  const words = [details?.['error_code'], code, type, status];
  return (words.find((word) => typeof word === 'string') as string | undefined) ?? 'error';
}
