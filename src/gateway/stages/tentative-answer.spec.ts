import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { HELD_BYTES_MAX, TentativeAnswer, type TentativeFailure } from './tentative-answer.js';

const LIMIT_MS = 60_000;
let server: Server | null = null;
let pool: Pool | null = null;

afterEach(async () => {
  await pool?.destroy();
  server?.closeAllConnections();
  server?.close();
  server = null;
});

async function listening(answer: Parameters<typeof createServer>[1]): Promise<string> {
  server = createServer(answer);
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** How the attempt failed, where another one takes its place. */
function failureAt(origin: string): Promise<TentativeFailure> {
  pool = new Pool(origin);
  return new Promise((resolve) => {
    const events = {
      failed: (failure: TentativeFailure) => {
        resolve(failure);
        return true;
      },
      answers: () => {},
    };
    const handler = new TentativeAnswer({}, LIMIT_MS, events);
    pool!.dispatch({ method: 'POST', path: '/', body: '{}' }, handler);
  });
}

describe('an attempt that failed', () => {
  it('was not sent where nobody took the connection', async () => {
    const origin = await listening(() => {});
    await new Promise((resolve) => server!.close(resolve));
    expect(await failureAt(origin)).toEqual({ kind: 'no_answer', sent: false });
  });

  it('was sent where the connection broke after it', async () => {
    const origin = await listening((req) => req.socket.destroy());
    expect(await failureAt(origin)).toEqual({ kind: 'no_answer', sent: true });
  });

  it('has its whole error, or is known to have more than was kept', async () => {
    const whole = await failureAt(await listening((_req, res) => res.writeHead(503).end('busy')));
    expect(whole).toMatchObject({ kind: 'answer', status: 503, whole: true });
    await pool!.destroy();
    const long = 'x'.repeat(HELD_BYTES_MAX + 1);
    const cut = await failureAt(await listening((_req, res) => res.writeHead(500).end(long)));
    expect(cut).toMatchObject({ kind: 'answer', status: 500, whole: false });
    await pool!.destroy();
    const broken = await listening((_req, res) => {
      res.writeHead(500, { 'content-length': '99' });
      res.write('{"usage"', () => res.destroy());
    });
    expect(await failureAt(broken)).toMatchObject({ kind: 'answer', whole: false });
  });
});
