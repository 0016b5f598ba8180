import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import {
  startCapturingUpstream,
  type Captured,
  type CapturingUpstream,
} from '../../support/capturing-upstream.js';
import { errorAnswer, errorEvent, streamedAnswer, wholeAnswer } from './answers.js';
import type { Dialect } from './requests.js';

/** How the upstream behaves towards one call; a header of the call says it. */
export const MANNERS = [
  'answers',
  'answers gzipped',
  'streams',
  'streams without usage',
  'refuses with 400',
  'refuses with 429',
  'refuses with 500',
  'sends an HTML page with 502',
  'sends half of its JSON',
  'sends garbage',
  'sends headers that are none',
  'cuts the stream',
  'cuts the connection before it answers',
  'sends an error event',
  'begins a stream and waits',
  'is silent',
] as const;
export type Manner = (typeof MANNERS)[number];

export const MANNER_HEADER = 'x-manner';
export const DIALECT_HEADER = 'x-dialect';
/** An ordinary header of an application, relayed both ways. */
export const NOTE_HEADER = 'x-app-note';

/** One upstream for all four providers; it repeats, in whatever manner it is told, the note that it is sent. */
export async function startMouthpiece(): Promise<CapturingUpstream> {
  const upstream = await startCapturingUpstream();
  upstream.answerWith((res, captured) => speak(res, captured));
  return upstream;
}

function speak(res: ServerResponse, { headers }: Captured): void {
  const told = (name: string, otherwise: string): string =>
    decodeURIComponent(String(headers[name] ?? otherwise));
  const manner = told(MANNER_HEADER, 'answers') as Manner;
  const dialect = told(DIALECT_HEADER, 'openai chat') as Dialect;
  const note = told(NOTE_HEADER, 'no note');
  // What a header cannot hold a completion can: quotes, line ends, and lines that look like a stack trace.
  const canary = `${note} "ö"\n    at ${note} (${note}:1:1)\n${note}`;
  const relayed = { [NOTE_HEADER]: note, 'x-request-id': 'req_of_the_provider' };
  const whole = (status: number, type: string, body: string | Buffer, more = {}): void => {
    res.writeHead(status, { ...relayed, 'content-type': type, ...more }).end(body);
  };
  const stream = (events: readonly string[]): void => {
    res.writeHead(200, { ...relayed, 'content-type': 'text/event-stream' });
    for (const event of events) res.write(event);
  };
  const events = (): string[] => streamedAnswer(dialect, canary);
  const json = (value: unknown): string => JSON.stringify(value);
  switch (manner) {
    case 'answers':
      return whole(200, JSON_TYPE, json(wholeAnswer(dialect, canary)));
    case 'answers gzipped':
      return whole(200, JSON_TYPE, gzipSync(json(wholeAnswer(dialect, canary))), {
        'content-encoding': 'gzip',
      });
    case 'streams':
      stream(events());
      return void res.end();
    case 'streams without usage':
      stream(events().map((event) => event.replaceAll(/"usage":\{[^}]*\}/g, '"usage":null')));
      return void res.end();
    case 'refuses with 400':
    case 'refuses with 429':
    case 'refuses with 500': {
      const status = Number(manner.slice(-3));
      return whole(status, JSON_TYPE, json(errorAnswer(dialect, status, canary)));
    }
    case 'sends an HTML page with 502':
      return whole(502, 'text/html', `<h1>${canary}</h1>`);
    case 'sends half of its JSON':
      return whole(200, JSON_TYPE, `{"id":"x","usage":{"n":1},"text":"${note} ${note}`);
    case 'sends garbage':
      return whole(200, JSON_TYPE, Buffer.concat([Buffer.of(0xff, 0xfe), Buffer.from(canary)]));
    case 'sends headers that are none':
      return void res.socket?.end(`HTTP/1.1 200 ${note}\r\n${note} ${note}\r\n\r\n${note}`);
    case 'cuts the stream':
      stream(events().slice(0, 2));
      // What was written leaves first, so that the caller has a part of a stream.
      return void res.write('data: {"half', () => res.destroy());
    case 'cuts the connection before it answers':
      return void res.destroy();
    case 'sends an error event':
      stream([...events().slice(0, 2), errorEvent(dialect, canary)]);
      return void res.end();
    case 'begins a stream and waits':
      return stream(events().slice(0, 2));
    case 'is silent':
  }
}

const JSON_TYPE = 'application/json';
