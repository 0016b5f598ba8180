import { expect, test } from 'vitest';
import { HttpError } from '../platform/http/http-error.js';
import { SlowReads } from './slow-reads.js';

test('of many slow reads two run at a time, the others in turn, and too many are refused at once', async () => {
  const reads = new SlowReads();
  const finish: (() => void)[] = [];
  let [running, most] = [0, 0];
  const ask = () =>
    reads.run(async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise<void>((done) => finish.push(done));
      running -= 1;
    });
  const asked = Array.from({ length: 20 }, ask);
  const refused = await ask().catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(HttpError);
  expect(refused).toMatchObject({ code: 'temporarily_unavailable', retryAfterSeconds: 5 });
  const all = Promise.all(asked);
  for (let ended = 0; ended < 20; ended += 1) {
    await expect.poll(() => finish.length).toBeGreaterThan(0);
    finish.shift()?.();
  }
  await all;
  expect(most).toBe(2);
  finish.length = 0;
  const again = ask();
  await expect.poll(() => finish.length).toBe(1);
  finish[0]?.();
  await again;
});
