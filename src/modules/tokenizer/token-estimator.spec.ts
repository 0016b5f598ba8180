import { EventEmitter } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  CLOSE_MS_MAX,
  JOB_MS_MAX,
  QUEUED_BYTES_MAX,
  QUEUED_MAX,
  TokenEstimator,
  WAIT_MS_MAX,
  type EstimateWorker,
} from './token-estimator.js';

const CHAT = Buffer.from('{"messages":[{"role":"user","content":"How many tokens are these?"}]}');
const ONE_JOB = {
  request: CHAT,
  requestBytes: CHAT.length,
  answer: Buffer.alloc(0),
  answerBytes: 0,
};
const ESTIMATE = { inputTokens: 7, outputTokens: 0 };

interface Message {
  readonly request: Uint8Array;
  readonly requestBytes: number;
  readonly answer: Uint8Array;
}

/** A worker that counts only when it is told to. */
class ManualWorker extends EventEmitter {
  readonly jobs: Message[] = [];
  terminated = false;

  postMessage(message: Message, transferred: readonly ArrayBuffer[]): void {
    this.jobs.push(structuredClone(message, { transfer: [...transferred] }));
  }

  terminate(): Promise<number> {
    this.terminated = true;
    return Promise.resolve(1);
  }

  answer(): void {
    this.emit('message', ESTIMATE);
  }
}

function setUp() {
  const workers: ManualWorker[] = [];
  const givenUp: string[] = [];
  const estimator = new TokenEstimator(
    (reason) => givenUp.push(reason),
    () => {
      workers.push(new ManualWorker());
      return workers.at(-1) as unknown as EstimateWorker;
    },
  );
  return { estimator, workers, givenUp };
}

describe('estimates under load', () => {
  beforeEach(
    () => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }),
  );
  afterEach(() => void vi.useRealTimers());

  it('gives the worker one job at a time, in order', async () => {
    const { estimator, workers } = setUp();
    const both = [estimator.estimate(ONE_JOB), estimator.estimate(ONE_JOB)];
    expect(workers).toHaveLength(1);
    expect(workers[0]!.jobs).toHaveLength(1);
    workers[0]!.answer();
    expect(workers[0]!.jobs).toHaveLength(2);
    workers[0]!.answer();
    expect(await Promise.all(both)).toEqual([ESTIMATE, ESTIMATE]);
  });

  it('ends a worker whose job takes too long, and goes on with another', async () => {
    const { estimator, workers, givenUp } = setUp();
    const stuck = estimator.estimate(ONE_JOB);
    const next = estimator.estimate(ONE_JOB);
    vi.advanceTimersByTime(JOB_MS_MAX);
    expect(await stuck).toBeNull();
    expect(workers[0]!.terminated).toBe(true);
    // What the ended worker had still to say is not the next job's.
    workers[0]!.answer();
    workers[1]!.answer();
    expect(await next).toEqual(ESTIMATE);
    expect(givenUp).toEqual(['took_too_long']);
  });

  it('recovers: what waited too long never reaches the worker, what came since is counted', async () => {
    const { estimator, workers, givenUp } = setUp();
    const old = Array.from({ length: 50 }, () => estimator.estimate(ONE_JOB));
    vi.advanceTimersByTime(JOB_MS_MAX);
    vi.advanceTimersByTime(JOB_MS_MAX);
    vi.advanceTimersByTime(WAIT_MS_MAX - 2 * JOB_MS_MAX + 1);
    const fresh = estimator.estimate(ONE_JOB);
    workers.at(-1)!.answer();
    workers.at(-1)!.answer();
    expect(await fresh).toEqual(ESTIMATE);
    expect((await Promise.all(old)).filter((estimate) => estimate !== null)).toHaveLength(1);
    expect(givenUp.filter((reason) => reason === 'waited_too_long')).toHaveLength(47);
    expect(workers.flatMap((worker) => worker.jobs)).toHaveLength(4);
  });

  it('gives up at once what the queue has no room for, by number and by bytes', async () => {
    const { estimator, givenUp } = setUp();
    for (let i = 0; i <= QUEUED_MAX; i++) void estimator.estimate(ONE_JOB);
    expect(await estimator.estimate(ONE_JOB)).toBeNull();
    expect(givenUp).toEqual(['queue_full']);

    const large = setUp();
    const request = Buffer.alloc(32 * 1024 * 1024, 'a');
    const count = QUEUED_BYTES_MAX / (256 * 1024);
    for (let i = 0; i <= count; i++) void large.estimator.estimate({ ...ONE_JOB, request });
    expect(await large.estimator.estimate({ ...ONE_JOB, request })).toBeNull();
    expect(large.givenUp).toEqual(['queue_full']);
  });

  it('sends the head of a large body and nothing else of its memory', () => {
    const { estimator, workers } = setUp();
    const request = Buffer.alloc(32 * 1024 * 1024, 'a');
    const answer = request.subarray(5, 8);
    void estimator.estimate({ request, requestBytes: request.length, answer, answerBytes: 3 });
    const job = workers[0]!.jobs[0]!;
    expect(job.requestBytes).toBe(request.length);
    expect(job.request.buffer.byteLength).toBe(256 * 1024);
    expect(job.answer.buffer.byteLength).toBe(3);
    expect(request).toHaveLength(32 * 1024 * 1024);
  });

  it('lets what is queued finish before it closes, and gives up what does not in time', async () => {
    const { estimator, workers, givenUp } = setUp();
    const estimates = [1, 2, 3].map(() => estimator.estimate(ONE_JOB));
    const closed = estimator.close();
    expect(await estimator.estimate(ONE_JOB)).toBeNull();
    workers[0]!.answer();
    workers[0]!.answer();
    vi.advanceTimersByTime(CLOSE_MS_MAX);
    await closed;
    expect(await Promise.all(estimates)).toEqual([ESTIMATE, ESTIMATE, null]);
    expect(givenUp).toHaveLength(2);
    expect(workers.every((worker) => worker.terminated)).toBe(true);
  });

  it('never rejects: not where the worker dies, nor where none can be started', async () => {
    const { estimator, workers } = setUp();
    const dying = estimator.estimate(ONE_JOB);
    const next = estimator.estimate(ONE_JOB);
    workers[0]!.emit('error', new Error('out of memory'));
    workers[0]!.emit('exit', 1);
    workers[1]!.answer();
    expect(await Promise.all([dying, next])).toEqual([null, ESTIMATE]);

    const broken = new TokenEstimator(undefined, () => {
      throw new Error('no thread');
    });
    expect(await broken.estimate(ONE_JOB)).toBeNull();
    await broken.close();
  });
});

describe('the worker', () => {
  it('counts the texts of a request and of an answer, scaled to the whole of it', async () => {
    const estimator = new TokenEstimator();
    const answer = Buffer.from('data: {"choices":[{"delta":{"content":"Six or seven"}}]}\n\n');
    const small = await estimator.estimate({ ...ONE_JOB, answer, answerBytes: answer.length });
    expect(small).toEqual({ inputTokens: 6, outputTokens: 3 });
    const request = Buffer.from(`{"messages":[{"content":"${'word '.repeat(200_000)}"}]}`);
    const large = await estimator.estimate({
      request,
      requestBytes: request.length,
      answer,
      answerBytes: answer.length * 10,
    });
    expect(large!.inputTokens).toBeGreaterThan(195_000);
    expect(large!.inputTokens).toBeLessThan(205_000);
    expect(large!.outputTokens).toBe(30);
    await estimator.close();
  });

  it('is ended in the middle of a count that does not end', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const endless = new Worker('for (;;);', { eval: true });
    const exited = new Promise((resolve) => endless.once('exit', resolve));
    const estimator = new TokenEstimator(undefined, () => endless);
    const estimate = estimator.estimate(ONE_JOB);
    vi.advanceTimersByTime(JOB_MS_MAX);
    vi.useRealTimers();
    expect(await estimate).toBeNull();
    await exited;
    await estimator.close();
  });
});
