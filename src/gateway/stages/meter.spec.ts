import { describe, expect, it } from 'vitest';
import type { Provider } from '../../domain/routing/provider.js';
import { streamMarks } from '../answer/stream-marks.js';
import { EventStreamReader } from '../answer/event-stream-reader.js';
import type { Planned } from '../call.js';
import { meter } from './meter.js';
import type { Settlement } from './relay.js';

const CALL = {
  streamed: true,
  req: { method: 'POST' },
  route: { operation: 'chat', format: 'openai_chat' },
} as unknown as Planned;

const USAGE = { prompt_tokens: 100, completion_tokens: 7, total_tokens: 107 };
const chunk = (choices: readonly object[], usage?: object): string =>
  `data: ${JSON.stringify({ model: 'm', choices, usage })}\n\n`;
const going = { index: 0, delta: { content: 'a' }, finish_reason: null };
const finished = { index: 0, delta: {}, finish_reason: 'stop' };

/** A chat stream of which so much came before its client went away, or its provider did. */
function metered(provider: Provider, outcome: Settlement['outcome'], ...lines: string[]) {
  const reader = new EventStreamReader(streamMarks('openai_chat'));
  for (const line of lines) reader.feed(Buffer.from(line));
  const settlement = {
    outcome,
    status: 200,
    sent: true,
    findings: reader.findings(),
    attempt: { provider, model: 'm' },
  } as unknown as Settlement;
  return meter(CALL, settlement);
}

describe('the usage of a chat stream that was cut short', () => {
  it('is an estimate where it was reported on the way, as Gemini does chunk by chunk', () => {
    for (const outcome of ['client_aborted', 'truncated'] as const) {
      const cut = metered('google', outcome, chunk([going], USAGE), chunk([going], USAGE));
      expect(cut).toMatchObject({ kind: 'estimated', report: { usage: { outputTokens: 7 } } });
    }
  });

  it.each<[string, Provider, readonly string[]]>([
    ['in the chunk that has nothing else', 'openai', [chunk([finished]), chunk([], USAGE)]],
    ['with the end of the only choice', 'google', [chunk([going]), chunk([finished], USAGE)]],
    ['before a line that ends the stream', 'google', [chunk([going], USAGE), 'data: [DONE]\n\n']],
  ])('is what was used where it came %s', (_, provider, lines) => {
    expect(metered(provider, 'client_aborted', ...lines)).toMatchObject({
      kind: 'reported',
      report: { usage: { inputTokens: 100, outputTokens: 7 } },
    });
  });

  it('is an estimate while another choice goes on', () => {
    const both = chunk([finished, { ...going, index: 1 }], USAGE);
    expect(metered('google', 'client_aborted', both).kind).toBe('estimated');
  });

  it('is not known where none was reported', () => {
    const none = { kind: 'unmetered', reason: 'cut_short' };
    expect(metered('google', 'client_aborted', chunk([going]))).toEqual(none);
  });
});

describe('the usage of a chat stream that came whole', () => {
  it('is what was reported last', () => {
    const said = metered('google', 'completed', chunk([going], USAGE), 'data: [DONE]\n\n');
    expect(said.kind).toBe('reported');
  });
});
