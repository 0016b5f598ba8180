import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import Groq from 'groq-sdk';
import OpenAI from 'openai';
import { randomUUID } from 'node:crypto';
import type { Provider } from '../../../src/domain/routing/provider.js';

/** What an application sees of an answer: the text, and what Shunt says of it. */
export interface Said {
  readonly requestId: string;
  readonly mode: string;
  readonly decision: string;
  readonly requested: string;
  readonly served: string;
  readonly text: string;
}

export interface CallOptions {
  readonly stream?: boolean;
  /** Without a name every call is a session of its own. */
  readonly session?: string;
  /** Of the conversation, this one included. */
  readonly turns?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

const OUTPUT_TOKENS = 2_000;
const SYSTEM = 'You help the customers of a mail-order shop.';

interface Message {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

function conversation(turns: number): Message[] {
  const before = Array.from({ length: turns - 1 }, (_, turn): Message[] => [
    { role: 'user', content: `Question ${turn}: where is my parcel?` },
    { role: 'assistant', content: 'It is on its way.' },
  ]);
  return [...before.flat(), { role: 'user', content: 'And when does it arrive?' }];
}

interface Request {
  readonly model: string;
  readonly stream: boolean;
  readonly messages: Message[];
  readonly headers: Record<string, string>;
}

/** An application that uses the four SDKs, each as its documentation shows it, with another base URL and key. */
export class Application {
  constructor(
    private readonly origin: string,
    private readonly apiKey: string,
  ) {}

  async call(
    provider: Provider,
    model: string,
    { stream = false, session = randomUUID(), turns = 1, headers = {} }: CallOptions = {},
  ): Promise<Said> {
    const request: Request = {
      model,
      stream,
      messages: conversation(turns),
      headers: { 'x-shunt-session-id': session, ...headers },
    };
    switch (provider) {
      case 'openai':
        return this.#openai(request);
      case 'anthropic':
        return this.#anthropic(request);
      case 'google':
        return this.#google(request);
      case 'groq':
        return this.#groq(request);
    }
  }

  /** One word of an answer is asked for. */
  async label(model: string): Promise<Said> {
    const client = new OpenAI({ apiKey: this.apiKey, baseURL: `${this.origin}/v1`, maxRetries: 0 });
    const messages = conversation(1);
    const body = { model, messages, max_completion_tokens: 8 };
    const { data, response } = await client.chat.completions.create(body).withResponse();
    return said(response.headers, data.choices[0]?.message.content ?? '');
  }

  async #openai({ model, stream, messages, headers }: Request): Promise<Said> {
    const client = new OpenAI({ apiKey: this.apiKey, baseURL: `${this.origin}/v1`, maxRetries: 0 });
    const body = { model, messages: [{ role: 'system' as const, content: SYSTEM }, ...messages] };
    if (!stream) {
      const made = client.chat.completions.create(body, { headers });
      const { data, response } = await made.withResponse();
      return said(response.headers, data.choices[0]?.message.content ?? '');
    }
    const made = client.chat.completions.create({ ...body, stream: true }, { headers });
    const { data, response } = await made.withResponse();
    let text = '';
    for await (const chunk of data) text += chunk.choices[0]?.delta.content ?? '';
    return said(response.headers, text);
  }

  async #anthropic({ model, stream, messages, headers }: Request): Promise<Said> {
    const baseURL = `${this.origin}/anthropic`;
    const client = new Anthropic({ apiKey: this.apiKey, baseURL, maxRetries: 0 });
    const body = { model, max_tokens: OUTPUT_TOKENS, system: SYSTEM, messages };
    if (!stream) {
      const { data, response } = await client.messages.create(body, { headers }).withResponse();
      return said(
        response.headers,
        data.content.map((part) => (part.type === 'text' ? part.text : '')).join(''),
      );
    }
    const made = client.messages.create({ ...body, stream: true }, { headers });
    const { data, response } = await made.withResponse();
    let text = '';
    for await (const event of data) {
      if (event.type !== 'content_block_delta') continue;
      if (event.delta.type === 'text_delta') text += event.delta.text;
    }
    return said(response.headers, text);
  }

  async #google({ model, stream, messages, headers }: Request): Promise<Said> {
    const client = new GoogleGenAI({
      apiKey: this.apiKey,
      httpOptions: { baseUrl: `${this.origin}/google`, headers },
    });
    const request = {
      model,
      contents: messages.map(({ role, content }) => ({
        role: role === 'user' ? 'user' : 'model',
        parts: [{ text: content }],
      })),
      config: { systemInstruction: SYSTEM },
    };
    if (!stream) {
      const answer = await client.models.generateContent(request);
      return said(new Headers(answer.sdkHttpResponse?.headers), answer.text ?? '');
    }
    let text = '';
    let answered = new Headers();
    for await (const chunk of await client.models.generateContentStream(request)) {
      answered = new Headers(chunk.sdkHttpResponse?.headers);
      text += chunk.text ?? '';
    }
    return said(answered, text);
  }

  async #groq({ model, stream, messages, headers }: Request): Promise<Said> {
    const baseURL = `${this.origin}/groq`;
    const client = new Groq({ apiKey: this.apiKey, baseURL, maxRetries: 0 });
    const body = { model, messages: [{ role: 'system' as const, content: SYSTEM }, ...messages] };
    if (!stream) {
      const made = client.chat.completions.create(body, { headers });
      const { data, response } = await made.withResponse();
      return said(response.headers, data.choices[0]?.message.content ?? '');
    }
    const made = client.chat.completions.create({ ...body, stream: true }, { headers });
    const { data, response } = await made.withResponse();
    let text = '';
    for await (const chunk of data) text += chunk.choices[0]?.delta?.content ?? '';
    return said(response.headers, text);
  }
}

function said(headers: Headers, text: string): Said {
  const of = (name: string): string => headers.get(`x-shunt-${name}`) ?? '';
  return {
    requestId: of('request-id'),
    mode: of('mode'),
    decision: of('decision'),
    requested: of('requested-model'),
    served: of('served-model'),
    text,
  };
}
