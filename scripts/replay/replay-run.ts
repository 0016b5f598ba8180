import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { AnswerReader, type AnswerTokens, type ReadAnswer } from './answer-reader.js';
import { callRequest, type CallRequest } from './call-request.js';
import type { ReplayOptions } from './options.js';
import { startOf, streams } from './pace.js';
import type { PromptRow, ReadRow } from './prompt-rows.js';
import type { SpendLimit } from './spend-limit.js';
import type { CallOutcome, Tally } from './tally.js';

/** As long as the SDKs wait for an answer to begin. */
const TIMEOUT_MS = 600_000;
const NOTHING: AnswerTokens = { inputTokens: 0, outputTokens: 0 };

export type EndOfRun = 'all sent' | 'stopped' | 'spend limit reached' | 'model has no price';

export interface Replay {
  readonly options: ReplayOptions;
  readonly rows: AsyncIterable<ReadRow>;
  readonly tally: Tally;
  /** Null where nothing is spent: the upstream is the sandbox. */
  readonly spend: SpendLimit | null;
  /** Aborted, it ends the run and the calls in flight. */
  readonly stop: AbortSignal;
}

/** Sends the rows at their pace; resolves when every call has ended. */
export async function runReplay(replay: Replay): Promise<EndOfRun> {
  const { options, tally } = replay;
  const url = new URL(options.url);
  const pool = new Pool(url.origin, {
    connections: options.concurrency,
    pipelining: 1,
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
  });
  const basePath = url.pathname.replace(/\/$/, '');
  const inFlight = new Set<Promise<void>>();
  const send = async (call: CallRequest, reservedNanoUsd: bigint): Promise<void> => {
    const { outcome, billed } = await sendCall(pool, basePath, call, replay);
    // A call that the run's end cut short says nothing about the gateway.
    if (!replay.stop.aborted || outcome.kind === 'succeeded') tally.addOutcome(outcome);
    replay.spend?.settle(call.model, reservedNanoUsd, billed);
  };
  try {
    return await startAll(replay, (call, reservedNanoUsd) => {
      const running = send(call, reservedNanoUsd).finally(() => inFlight.delete(running));
      inFlight.add(running);
      return inFlight;
    });
  } finally {
    await Promise.all(inFlight);
    await pool.destroy();
  }
}

async function startAll(
  replay: Replay,
  start: (call: CallRequest, reservedNanoUsd: bigint) => ReadonlySet<Promise<void>>,
): Promise<EndOfRun> {
  const { options, rows, tally, spend, stop } = replay;
  const startedAtMs = performance.now();
  let index = 0;
  for await (const read of rows) {
    if (stop.aborted) return 'stopped';
    if (read.kind === 'malformed') {
      tally.addMalformed(read.line, read.reason);
      continue;
    }
    const due = startOf(index, options.rate, performance.now() - startedAtMs);
    if (due.late) tally.addLateStart();
    if (due.waitMs > 0) await sleep(due.waitMs, undefined, { signal: stop }).catch(() => undefined);
    if (stop.aborted) return 'stopped';
    const call = requestFor(read.row, index, options);
    const reserved = spend?.reserve(call.model, call.body.length, options.maxTokens);
    if (reserved?.kind === 'exhausted') return 'spend limit reached';
    if (reserved?.kind === 'unpriced') return 'model has no price';
    const inFlight = start(call, reserved?.nanoUsd ?? 0n);
    if (inFlight.size >= options.concurrency) await Promise.race(inFlight);
    index += 1;
    if (index === options.limit) break;
  }
  return 'all sent';
}

function requestFor(row: PromptRow, index: number, options: ReplayOptions): CallRequest {
  const { api, key, model, maxTokens, streamShare } = options;
  return callRequest(row, { api, key, model, maxTokens, stream: streams(index, streamShare) });
}

interface Sent {
  readonly outcome: CallOutcome;
  /** Null where it is not known: the call may have cost all that was set aside for it. */
  readonly billed: AnswerTokens | null;
}

async function sendCall(
  pool: Pool,
  basePath: string,
  call: CallRequest,
  replay: Replay,
): Promise<Sent> {
  const startMs = performance.now();
  try {
    const response = await pool.request({
      method: 'POST',
      path: basePath + call.path,
      headers: call.headers,
      body: call.body,
      signal: replay.stop,
    });
    const isStream = String(response.headers['content-type']).startsWith('text/event-stream');
    const reader = new AnswerReader(replay.options.api, isStream);
    const decoder = new TextDecoder();
    let firstByteMs: number | null = null;
    for await (const chunk of response.body) {
      firstByteMs ??= performance.now() - startMs;
      reader.feed(decoder.decode(chunk as Buffer, { stream: true }));
    }
    const answer = reader.finish();
    const latencyMs = performance.now() - startMs;
    const reason = failureOf(response.statusCode, answer);
    const { tokens } = answer;
    // What a provider refuses it does not bill.
    const billed = response.statusCode >= 400 ? NOTHING : tokens;
    if (reason !== null) return { outcome: { kind: 'failed', reason }, billed };
    return {
      outcome: { kind: 'succeeded', latencyMs, firstByteMs: firstByteMs ?? latencyMs, tokens },
      billed,
    };
  } catch (error) {
    return { outcome: { kind: 'failed', reason: networkReason(error) }, billed: null };
  }
}

/** A status with its code; an error or a break after a 200; null for an answer as it should be. */
export function failureOf(status: number, answer: ReadAnswer): string | null {
  if (status >= 400) return `${status}${answer.errorCode === null ? '' : ` ${answer.errorCode}`}`;
  if (status >= 300) return `${status} not followed`;
  if (answer.errorCode !== null) return `${status}, then ${answer.errorCode}`;
  return answer.complete ? null : `${status}, then cut short`;
}

function networkReason(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown };
  return `network: ${String(code ?? name ?? 'error')}`;
}
