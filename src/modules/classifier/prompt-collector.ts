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
import { isListed, PARAMETERS } from '../../domain/routing/parameters.js';
import {
  isObject,
  isSet,
  LEFT_OUT,
  listOf,
  objectOf,
  textOf,
  type JsonObject,
  type Shapes,
} from './json-shapes.js';
import { textMarks } from './text-marks.js';

/** Messages, parts of them, tools and calls visited in one call; beyond them the facts are marked incomplete. */
export const ELEMENTS_MAX = 32_768;
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
  #elements = 0;
  #role: Role = 'user';
  #system: BoundedText = NO_TEXT;
  #firstUser: BoundedText | null = null;
  #lastUser: BoundedText = NO_TEXT;
  #isNewMessage = true;
  #isInAnswer = false;

  constructor(kind: PromptFacts['kind'], format: PromptFacts['format']) {
    this.facts = { ...NO_FACTS, kind, format, complete: true };
  }

  /** The elements that may be visited. */
  visit(value: unknown): readonly unknown[] {
    const list = listOf(value);
    const left = ELEMENTS_MAX - this.#elements;
    this.#elements += list.length;
    if (list.length > left || list.includes(LEFT_OUT)) this.facts.complete = false;
    return list.length > left ? list.slice(0, Math.max(left, 0)) : list;
  }

  message(role: Role): void {
    this.#role = role;
    this.#isNewMessage = true;
    this.facts.endsWithAssistant = role === 'assistant';
    if (role === 'assistant') this.partOfAnswer();
    else this.#isInAnswer = false;
    if (role === 'system') return;
    this.facts.messageCount += 1;
    if (role === 'tool') this.facts.toolResultCount += 1;
  }

  /** What an answer left, a message or not; what stands beside it is of the same answer. */
  partOfAnswer(): void {
    if (!this.#isInAnswer) this.facts.answerCount += 1;
    this.#isInAnswer = true;
  }

  /** Whose words follow, within the same message. */
  speaker(role: Role): void {
    this.#role = role;
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

  /**
   * Notes what is set, under its name in the table of the format; a name that is not there is never kept. A value of
   * another type than the parameter's counts as unlisted: what it is taken for is up to each model's provider.
   */
  parameters(set: JsonObject, known: Shapes): void {
    const table = PARAMETERS[this.facts.format];
    this.#noteGap(set);
    for (const name in set) {
      const value = set[name];
      if (!isSet(value)) continue;
      this.parameter(name);
      // What no other model takes needs no type.
      const isTaken = known.get(name)?.(value) ?? table[name]?.within === 'never';
      if (!isTaken) this.unlisted();
    }
  }

  /** Notes one by a name of the table that may not be its own: something within a message or a tool. */
  parameter(name: string): void {
    if (isListed(this.facts.format, name)) this.#parameters.add(name);
    else this.unlisted();
  }

  /** Something was met of which nobody knows what another model makes of it. */
  unlisted(): void {
    this.facts.unlisted = true;
  }

  /** Whatever is set beside the known members, or is not of their types, counts as unlisted. */
  members(value: unknown, known: Shapes): JsonObject {
    const object = objectOf(value);
    if (isSet(value) && !isObject(value)) this.unlisted();
    this.#noteGap(object);
    if (this.facts.unlisted) return object;
    for (const name in object) {
      const member = object[name];
      if (isSet(member) && known.get(name)?.(member) !== true) this.unlisted();
    }
    return object;
  }

  /** As `members`, for an element of a list, which is always set. */
  element(value: unknown, known: Shapes): JsonObject {
    if (!isObject(value)) this.unlisted();
    return this.members(value, known);
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

  #noteGap(object: JsonObject): void {
    if (object[LEFT_OUT] !== undefined) this.facts.complete = false;
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
