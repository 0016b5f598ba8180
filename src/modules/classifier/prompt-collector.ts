import {
  boundedText,
  NO_TEXT,
  type BoundedText,
} from '../../domain/classification/bounded-text.js';
import {
  NO_FACTS,
  REASONING_EFFORTS,
  type PromptFacts,
  type ReasoningEffort,
  type StatePin,
} from '../../domain/classification/prompt-facts.js';
import { isListed } from '../../domain/routing/parameters.js';
import { isObject, isSet, listOf, objectOf, textOf, type JsonObject } from './json-shapes.js';
import { textMarks } from './text-marks.js';

/** Of a longer list the first and the last half of this many are visited, and the facts are marked incomplete. */
export const ELEMENTS_MAX = 64;
/** Parts of messages visited in one call. */
const PARTS_MAX = 512;
/** Looked at from either end of a text. */
export const SAMPLE_CHARS = 256;
const TOOLS_OUTLINED_MAX = 32;
const PARAMETERS_OUTLINED_MAX = 16;
const NAME_CHARS_MAX = 64;

/** What a call's body says of it: numbers, and the few samples of text that are hashed and then forgotten. */
export interface PromptReading {
  readonly facts: PromptFacts;
  readonly system: BoundedText;
  readonly firstUserMessage: BoundedText;
  readonly lastUserMessage: BoundedText;
  readonly tools: string;
  readonly responseFormat: string;
}

export type Role = 'system' | 'user' | 'assistant' | 'tool';

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Takes what the readers of the wire formats find, within bounds. */
export class PromptCollector {
  readonly facts: Writable<PromptFacts>;
  tools = '';
  responseFormat = '';
  readonly #pins = new Set<StatePin>();
  readonly #parameters = new Set<string>();
  #parts = 0;
  #role: Role = 'user';
  #system: BoundedText = NO_TEXT;
  #firstUser: BoundedText | null = null;
  #lastUser: BoundedText = NO_TEXT;
  #isNewMessage = true;

  constructor(kind: PromptFacts['kind'], format: PromptFacts['format']) {
    this.facts = { ...NO_FACTS, kind, format, complete: true };
  }

  /** The elements that may be visited. Exactly as many as the bound may already be an excerpt of more. */
  visit(value: unknown): readonly unknown[] {
    const list = listOf(value);
    if (list.length >= ELEMENTS_MAX) this.facts.complete = false;
    if (list.length <= ELEMENTS_MAX) return list;
    return [...list.slice(0, ELEMENTS_MAX / 2), ...list.slice(-ELEMENTS_MAX / 2)];
  }

  message(role: Role): void {
    this.#role = role;
    this.#isNewMessage = true;
    this.facts.endsWithAssistant = role === 'assistant';
    if (role === 'system') return;
    this.facts.messageCount += 1;
    if (role === 'assistant') this.facts.assistantMessageCount += 1;
    if (role === 'tool') this.facts.toolResultCount += 1;
  }

  /** Whose words follow, within the same message. */
  speaker(role: Role): void {
    this.#role = role;
  }

  /** Counts a part; false once there are too many. */
  part(): boolean {
    this.#parts += 1;
    if (this.#parts > PARTS_MAX) this.facts.complete = false;
    return this.#parts <= PARTS_MAX;
  }

  text(value: unknown): void {
    const text = textOf(value);
    if (text === '') return;
    const length = lengthOf(text);
    this.facts.totalChars += length;
    if (this.#role === 'system') this.#addSystem(text, length);
    if (this.#role === 'user') this.#addUser(text, length);
  }

  pin(pin: StatePin): void {
    this.#pins.add(pin);
  }

  pinIf(value: unknown, pin: StatePin): void {
    if (value !== undefined && value !== null && value !== '') this.#pins.add(pin);
  }

  /** Notes what is set, under its name in the table of the format; a name that is not there is never kept. */
  parameters(names: Iterable<string>): void {
    for (const name of names) {
      if (isListed(this.facts.format, name)) this.#parameters.add(name);
      else this.facts.unlisted = true;
    }
  }

  /** Something was met of which nobody knows what another model makes of it. */
  unlisted(): void {
    this.facts.unlisted = true;
  }

  /** Whatever is set beside the known members counts as unlisted. */
  members(object: JsonObject, known: ReadonlySet<string>): void {
    if (this.facts.unlisted) return;
    for (const name in object) {
      if (!known.has(name) && isSet(object[name])) this.facts.unlisted = true;
    }
  }

  effort(value: unknown): void {
    const word = textOf(value).toLowerCase();
    if (word === '') return;
    const known = REASONING_EFFORTS.includes(word as ReasoningEffort) && word !== 'unset';
    this.facts.reasoningEffort = known ? (word as ReasoningEffort) : 'other';
  }

  /** Notes one tool by its name and those of its parameters; descriptions change too often to tell uses apart. */
  tool(name: unknown, schema: unknown): void {
    this.facts.toolCount += 1;
    if (this.facts.toolCount <= TOOLS_OUTLINED_MAX) {
      this.tools += `${textOf(name).slice(0, NAME_CHARS_MAX)}(${outlineOf(schema)});`;
    }
  }

  /** Notes the form that the answer must have. */
  format(kind: 'json_schema' | 'json_mode', name: unknown, schema: unknown): void {
    if (kind === 'json_schema') this.facts.jsonSchema = true;
    else this.facts.jsonMode = true;
    this.responseFormat = `${kind}:${textOf(name).slice(0, NAME_CHARS_MAX)}(${outlineOf(schema)})`;
  }

  reading(): PromptReading {
    const { facts } = this;
    Object.assign(facts, textMarks(this.#lastUser));
    facts.pins = [...this.#pins];
    facts.parameters = [...this.#parameters];
    return {
      facts,
      system: this.#system,
      firstUserMessage: this.#firstUser ?? NO_TEXT,
      lastUserMessage: this.#lastUser,
      tools: this.tools,
      responseFormat: this.responseFormat,
    };
  }

  /** Several system texts count as one: the head of the first, the tail of the last. */
  #addSystem(text: string, length: number): void {
    this.facts.systemChars += length;
    const sample = boundedText(text, SAMPLE_CHARS);
    this.#system =
      this.#system.length === 0
        ? { ...sample, length }
        : { ...this.#system, tail: sample.tail || sample.head, length: this.facts.systemChars };
  }

  /** The first text is the session's; the last one is the one that asks. */
  #addUser(text: string, length: number): void {
    const sample = { ...boundedText(text, SAMPLE_CHARS), length };
    this.#firstUser ??= sample;
    this.#lastUser = sample;
    this.facts.lastUserChars = this.#isNewMessage ? length : this.facts.lastUserChars + length;
    this.#isNewMessage = false;
  }
}

/** A string that was clipped before it came here says in its middle how long it was: `head…[length]…tail`. */
const CLIPPED_LENGTH = /…\[(\d{4,10})\]…/;
const CLIPPED_CHARS_MAX = 4_200;

function lengthOf(text: string): number {
  if (text.length > CLIPPED_CHARS_MAX || !text.includes('…[')) return text.length;
  const stated = CLIPPED_LENGTH.exec(text)?.[1];
  return stated === undefined ? text.length : Math.max(text.length, Number(stated));
}

function outlineOf(schema: unknown): string {
  const { properties } = objectOf(schema);
  if (!isObject(properties)) return '';
  let outline = '';
  let count = 0;
  for (const name in properties) {
    if (count === PARAMETERS_OUTLINED_MAX) break;
    outline += `${name.slice(0, NAME_CHARS_MAX)},`;
    count += 1;
  }
  return outline;
}
