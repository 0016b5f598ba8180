import { EventEmitter, once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Pool, type Dispatcher } from 'undici';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Attempt, Planned } from '../call.js';
import type { FailedAttempt } from './failed-attempt.js';
import { Relay, type Settlement } from './relay.js';
import { TentativeAnswer } from './tentative-answer.js';

const LIMIT_MS = 60_000;
const CHUNK = Buffer.from('{"error":');
const ATTEMPT = { number: 0, provider: 'openai', upstream: { synthetic: false } } as Attempt;

let server: Server | null = null;
let pool: Pool | null = null;

afterEach(async () => {
  vi.useRealTimers();
  await pool?.destroy();
  server?.closeAllConnections();
  server?.close();
  server = null;
});

/** As much of a client's connection as a relay touches. */
class Client extends EventEmitter {
  destroyed = false;
  readonly written: unknown[] = [];
  readonly writeHead = vi.fn();
  readonly end = vi.fn();

  write(bytes: unknown): boolean {
    this.written.push(bytes);
    return true;
  }

  leave(): void {
    this.destroyed = true;
    this.emit('close');
  }
}

/** A relay behind an attempt that others could replace, until its client has gone. */
function relayed(client: Client) {
  const settlements: Settlement[] = [];
  const call = { res: client, req: {}, attempt: ATTEMPT, decision: 'classifier', route: {} };
  const relay = new Relay(call as unknown as Planned, {
    settled: (settlement, release) => {
      settlements.push(settlement);
      release();
    },
    fault: (error) => expect.unreachable(String(error)),
    isCutting: () => false,
  });
  const events = { failed: () => false, answers: () => {} };
  return { relay, settlements, tentative: new TentativeAnswer(relay, LIMIT_MS, events) };
}

function controller() {
  const aborts: unknown[] = [];
  const one = { abort: (reason: unknown) => aborts.push(reason), rawHeaders: [] };
  return { aborts, controller: one as unknown as Dispatcher.DispatchController };
}

describe('a client that leaves', () => {
  it('while an error is held ends the provider’s work', async () => {
    server = createServer((_req, res) => res.writeHead(503).write(CHUNK));
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
    const closed = once(server, 'connection').then(([socket]) =>
      once(socket as EventEmitter, 'close'),
    );
    pool = new Pool(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const client = new Client();
    const { tentative, settlements } = relayed(client);
    const held = tentative.onResponseData.bind(tentative);
    const isHeld = new Promise<void>((resolve) => {
      tentative.onResponseData = (from, chunk) => {
        held(from, chunk);
        resolve();
      };
    });
    pool.dispatch({ method: 'POST', path: '/', body: '{}' }, tentative);
    await isHeld;
    client.leave();
    await closed;
    expect(settlements).toMatchObject([{ outcome: 'client_aborted', status: null, sent: true }]);
    expect(client.written).toEqual([]);
  });

  it('while an error is held is sent nothing of it, once that took too long', () => {
    vi.useFakeTimers();
    const client = new Client();
    const { tentative, settlements } = relayed(client);
    const { controller: one, aborts } = controller();
    tentative.onRequestStart(one, null);
    tentative.onResponseStart(one, 503, {});
    tentative.onResponseData(one, CHUNK);
    client.leave();
    vi.runAllTimers();
    tentative.onResponseData(one, CHUNK);
    tentative.onResponseEnd(one, {});
    expect(aborts).toHaveLength(1);
    expect(settlements).toHaveLength(1);
    expect(client.writeHead).not.toHaveBeenCalled();
    expect(client.written).toEqual([]);
  });

  it('while the next attempt waits for its connection ends it as soon as it has one', () => {
    const client = new Client();
    const { relay, tentative, settlements } = relayed(client);
    const first = controller();
    relay.onRequestStart(first.controller);
    relay.serveInstead({ ...ATTEMPT, number: 1 }, { attempt: ATTEMPT } as FailedAttempt);
    client.leave();
    const { controller: next, aborts } = controller();
    tentative.onRequestStart(next, null);
    expect(aborts).toHaveLength(1);
    tentative.onResponseError(next, new Error('aborted'));
    expect(first.aborts).toEqual([]);
    expect(settlements).toMatchObject([{ outcome: 'client_aborted', sent: true }]);
  });
});

it('an error that was held, and whose headers cannot be passed on, reaches nobody in part', () => {
  const client = new Client();
  client.writeHead.mockImplementation(() => {
    throw new TypeError('invalid header');
  });
  const { tentative, settlements } = relayed(client);
  const { controller: one, aborts } = controller();
  tentative.onRequestStart(one, null);
  tentative.onResponseStart(one, 503, {});
  tentative.onResponseData(one, CHUNK);
  tentative.onResponseEnd(one, {});
  expect(settlements).toMatchObject([{ status: null, errorCode: 'upstream_garbled' }]);
  expect(aborts).toHaveLength(1);
  expect(client.written).toEqual([]);
});
