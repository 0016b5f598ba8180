import type { Target } from '../../src/domain/routing/decision.js';
import type { Provider } from '../../src/domain/routing/provider.js';

/** One turn of a conversation. */
export interface Turn {
  readonly role: 'user' | 'assistant';
  readonly text: string;
}

export interface WireCall {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** How an application's SDK writes a call, and where its answer has the text. */
interface Wire {
  call(application: Application, key: string, turns: readonly Turn[]): WireCall;
  textOf(answer: unknown): string;
}

/** An application of the organization: a project with a key of its own. */
export interface Application {
  readonly name: string;
  readonly system: string;
  readonly provider: Provider;
  readonly wire: keyof typeof WIRES;
  readonly model: string;
  /** Calls of a session, from and to. */
  readonly turns: readonly [number, number];
  /** The longest answer that it asks for; null says nothing of it. */
  readonly outputTokensMax: number | null;
  /** What its owner allows to answer instead, once there is a rule; null: no rule. */
  readonly rule: Target | null;
  /** The owner keeps it out of routing altogether. */
  readonly optedOut?: boolean;
}

const HANDBOOK =
  'Be exact and brief. Use the words of the customer. Never promise a date, a price or a refund. Where something is ' +
  'not known, say so and ask for it. Keep to the language of the question. Name the order or the case by its number. ';
const handbook = (role: string, times: number): string => `${role} ${HANDBOOK.repeat(times)}`;

export const APPLICATIONS: readonly Application[] = [
  {
    name: 'Ticket triage',
    system: handbook('Sort the ticket into one of: billing, delivery, account, other.', 2),
    provider: 'openai',
    wire: 'chat',
    model: 'gpt-6-sol',
    turns: [1, 1],
    outputTokensMax: 16,
    rule: { provider: 'openai', model: 'gpt-6-luna' },
  },
  {
    name: 'Support chat',
    system: handbook('Answer customers of a mail-order shop.', 40),
    provider: 'anthropic',
    wire: 'messages',
    model: 'claude-opus-5-5',
    turns: [2, 5],
    outputTokensMax: 2_000,
    rule: { provider: 'anthropic', model: 'claude-haiku-5-5' },
  },
  {
    name: 'Document search',
    system: handbook('Answer from the documents that are given.', 4),
    provider: 'google',
    wire: 'generate',
    model: 'gemini-3.8-flash',
    turns: [1, 2],
    outputTokensMax: null,
    rule: { provider: 'google', model: 'gemini-3.5-flash-lite' },
  },
  {
    name: 'Nightly extraction',
    system: handbook('Take names, dates and amounts out of the text.', 3),
    provider: 'groq',
    wire: 'groqChat',
    model: 'openai/gpt-oss-120b',
    turns: [1, 1],
    outputTokensMax: null,
    rule: { provider: 'groq', model: 'openai/gpt-oss-20b' },
  },
  {
    name: 'Research desk',
    system: handbook('Think the question through before you answer.', 2),
    provider: 'openai',
    wire: 'responses',
    model: 'gpt-6.1-sol',
    turns: [1, 1],
    outputTokensMax: null,
    rule: null,
  },
  {
    name: 'Contract review',
    system: handbook('Name what is unusual in the clause.', 3),
    provider: 'openai',
    wire: 'chat',
    model: 'gpt-6-sol',
    turns: [1, 1],
    outputTokensMax: null,
    rule: { provider: 'openai', model: 'gpt-6-luna' },
    optedOut: true,
  },
];

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const spoken = (turns: readonly Turn[]) => turns.map(({ role, text }) => ({ role, content: text }));
const chatCall =
  (path: string, stream: boolean): Wire['call'] =>
  ({ model, system, outputTokensMax }, key, turns) => ({
    path,
    headers: bearer(key),
    body: {
      model,
      messages: [{ role: 'system', content: system }, ...spoken(turns)],
      ...(outputTokensMax === null ? {} : { max_completion_tokens: outputTokensMax }),
      ...(stream ? { stream } : {}),
    },
  });

interface ChatAnswer {
  readonly choices?: readonly { readonly message?: { readonly content?: string } }[];
}
const chatText = (answer: unknown): string =>
  (answer as ChatAnswer).choices?.[0]?.message?.content ?? '';

export const WIRES = {
  chat: { call: chatCall('/openai/v1/chat/completions', false), textOf: chatText },
  // Streamed: its sessions have one call, so nothing is read out of the answer.
  groqChat: { call: chatCall('/groq/openai/v1/chat/completions', true), textOf: () => '' },
  responses: {
    call: ({ model, system }, key, turns) => ({
      path: '/openai/v1/responses',
      headers: bearer(key),
      body: { model, instructions: system, input: spoken(turns), reasoning: { effort: 'high' } },
    }),
    textOf: () => '',
  },
  messages: {
    call: ({ model, system, outputTokensMax }, key, turns) => ({
      path: '/anthropic/v1/messages',
      headers: { 'x-api-key': key, 'anthropic-version': '2023-06-01' },
      body: {
        model,
        max_tokens: outputTokensMax,
        system: [{ type: 'text', text: system, cache_control: { type: 'ephemeral' } }],
        messages: spoken(turns),
      },
    }),
    textOf: (answer) =>
      (answer as { content?: readonly { text?: string }[] }).content?.[0]?.text ?? '',
  },
  generate: {
    call: ({ model, system }, key, turns) => ({
      path: `/google/v1beta/models/${model}:generateContent`,
      headers: { 'x-goog-api-key': key },
      body: {
        systemInstruction: { parts: [{ text: system }] },
        contents: turns.map(({ role, text }) => ({
          role: role === 'user' ? 'user' : 'model',
          parts: [{ text }],
        })),
      },
    }),
    textOf: (answer) =>
      (answer as { candidates?: readonly { content?: { parts?: readonly { text?: string }[] } }[] })
        .candidates?.[0]?.content?.parts?.[0]?.text ?? '',
  },
} as const satisfies Record<string, Wire>;
