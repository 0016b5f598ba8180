import type { PromptFacts } from '../../src/domain/classification/prompt-facts.js';
import type { WireFormat } from '../../src/modules/providers/wire-format.js';

export type Body = Readonly<Record<string, unknown>>;
export type Format = Exclude<PromptFacts['format'], 'none'>;

export const WIRE_FORMATS: Readonly<Record<Format, WireFormat>> = {
  openai_chat: 'openai_chat',
  openai_responses: 'openai_responses',
  anthropic_messages: 'anthropic_messages',
  google: 'google_generate_content',
};

/** The least that each format takes. */
export const PLAIN_BODIES: Readonly<Record<Format, Body>> = {
  openai_chat: { messages: [{ role: 'user', content: 'Hi' }] },
  openai_responses: { input: 'Hi' },
  anthropic_messages: { messages: [{ role: 'user', content: 'Hi' }] },
  google: { contents: [{ role: 'user', parts: [{ text: 'Hi' }] }] },
};
