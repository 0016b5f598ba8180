import http from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * The cheapest upstream that speaks OpenAI's chat format: canned answers, so that what is measured is what stands
 * before it. Prints its port.
 */
const CHUNKS = 100;
const USAGE = { prompt_tokens: 180, completion_tokens: 100, total_tokens: 280 };

const answer = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-bench',
    object: 'chat.completion',
    created: 1_790_000_000,
    model: 'gpt-5.4-2026-03-05',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'word '.repeat(100) },
        finish_reason: 'stop',
      },
    ],
    usage: USAGE,
    service_tier: 'default',
  }),
);

function chunk(choices: unknown[], usage: unknown): Buffer {
  const body = {
    id: 'chatcmpl-bench',
    object: 'chat.completion.chunk',
    created: 1_790_000_000,
    model: 'gpt-5.4-2026-03-05',
  };
  return Buffer.from(
    `data: ${JSON.stringify({ ...body, choices, usage, obfuscation: 'x8Zq' })}\n\n`,
  );
}

const delta = chunk([{ index: 0, delta: { content: ' word' }, finish_reason: null }], null);
const last = Buffer.concat([chunk([], USAGE), Buffer.from('data: [DONE]\n\n')]);

const server = http.createServer({ keepAliveTimeout: 60_000, noDelay: true }, (req, res) => {
  let streamed = false;
  req.on('data', (bytes: Buffer) => {
    streamed ||= bytes.length < 4_096 && bytes.includes('"stream":true');
  });
  req.on('end', () => {
    if (streamed) stream(res);
    else {
      res.writeHead(200, {
        'content-type': 'application/json',
        'content-length': answer.length,
        'x-request-id': 'r1',
      });
      res.end(answer);
    }
  });
});

/** Each chunk is a write of its own, a turn of the event loop apart, as tokens come. */
function stream(res: http.ServerResponse): void {
  res.writeHead(200, { 'content-type': 'text/event-stream', 'x-request-id': 'r1' });
  let sent = 0;
  const next = (): void => {
    if (sent++ === CHUNKS) {
      res.end(last);
      return;
    }
    res.write(delta);
    setImmediate(next);
  };
  next();
}

server.listen(0, '127.0.0.1', () => console.log(`port ${(server.address() as AddressInfo).port}`));
