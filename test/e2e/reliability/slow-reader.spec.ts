import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http, { type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CallRecord } from '../../../src/modules/records/call-record.js';
import { endAll, freshDataDir, startReplica, type Replica } from './replica.js';
import { expectedOf, startBigUpstream, type BigAnswer, type BigUpstream } from './big-upstream.js';
import { measured, until } from './until.js';

const MB = 1_000_000;
/** What the kernel keeps for the sockets of two connections, and some. */
const TAKEN_WHILE_PAUSED_MAX = 80 * MB;
/** Of an answer of 200 MB. */
const GROWTH_MAX = 100 * MB;
/** An upstream that could send nothing for so long is held back. */
const STILL_MS = 1_000;
const PAUSES = 4;

let upstream: BigUpstream;
let shunt: Replica;

beforeAll(async () => {
  upstream = await startBigUpstream();
  const env = { OPENAI_BASE_URL: upstream.baseUrl, OPENAI_API_KEY: 'sk-test' };
  shunt = await startReplica({ dataDir: freshDataDir(), env });
  // Once without a pause, so that what the process needs anyway is not counted against the pauses.
  for await (const chunk of await ask({ stream: true })) expect(chunk).toBeDefined();
});
afterAll(async () => {
  await endAll();
  await upstream.close();
});

/** Resident memory of the product's process (Linux; elsewhere the figure is not looked at). */
function residentBytes(): number {
  if (process.platform !== 'linux') return 0;
  const status = readFileSync(`/proc/${shunt.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1_024;
}

function ask(extra: Readonly<Record<string, unknown>>): Promise<IncomingMessage> {
  const body = JSON.stringify({
    model: 'gpt-5.4-mini',
    messages: [{ role: 'user', content: 'Say much.' }],
    ...extra,
  });
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${shunt.projectKey}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    };
    const url = `${shunt.origin}/openai/v1/chat/completions`;
    http.request(url, { method: 'POST', headers }, resolve).once('error', reject).end(body);
  });
}

/** Resolves when the provider has been held back for a while; with the bytes that it got rid of until then. */
async function heldBack(): Promise<number> {
  let last = -1;
  let since = performance.now();
  await until('the provider is held back', 20_000, () => {
    if (upstream.sent() !== last) {
      last = upstream.sent();
      since = performance.now();
    }
    return performance.now() - since > STILL_MS;
  });
  return last;
}

/** Reads the rest, and stops now and then until everything behind has come to a halt. */
async function readInPieces(response: IncomingMessage, total: number, peak: () => void) {
  const hash = createHash('sha256');
  let bytes = 0;
  let pausedAt = 0;
  for await (const chunk of response) {
    hash.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    peak();
    if (bytes - pausedAt < total / PAUSES) continue;
    pausedAt = bytes;
    await heldBack();
    peak();
  }
  return { bytes, sha256: hash.digest('hex') };
}

async function recordOf(requestId: string): Promise<CallRecord> {
  let record: CallRecord | null = null;
  await until('the call is recorded', 10_000, async () => {
    const answer = await fetch(`${shunt.origin}/shunt/v1/requests/${requestId}`, {
      headers: { authorization: `Bearer ${shunt.projectKey}` },
    });
    record = answer.ok ? ((await answer.json()) as CallRecord) : null;
    return record !== null;
  });
  return record!;
}

const ANSWERS: readonly (readonly [string, BigAnswer, Record<string, unknown>])[] = [
  ['a stream', 'stream with usage', { stream: true, stream_options: { include_usage: true } }],
  ['a stream that usage is taken out of', 'stream', { stream: true }],
  ['one JSON body', 'json', {}],
];

describe('a client that pauses in an answer of 200 MB', () => {
  it.each(ANSWERS)(
    'slows the provider down instead of filling memory, and gets every byte (%s)',
    async (_name, kind, extra) => {
      const expected = expectedOf(kind);
      const before = residentBytes();
      let peak = before;
      const look = (): void => void (peak = Math.max(peak, residentBytes()));
      const response = await ask(extra);
      expect(response.statusCode).toBe(200);
      const taken = await heldBack();
      look();
      expect(taken).toBeLessThan(TAKEN_WHILE_PAUSED_MAX);
      const received = await readInPieces(response, expected.bytes, look);
      expect(received).toEqual(expected);
      const inMb = (bytes: number): string => (bytes / MB).toFixed(1);
      measured(
        kind,
        `${inMb(expected.bytes)} MB, ${inMb(taken)} MB taken while paused, memory +${inMb(peak - before)} MB`,
      );
      expect(peak - before).toBeLessThan(GROWTH_MAX);
      const requestId = String(response.headers['x-shunt-request-id']);
      expect(await recordOf(requestId)).toMatchObject({
        outcome: 'completed',
        metering: 'reported',
        usage: { outputTokens: 1_000 },
      });
    },
  );
});
