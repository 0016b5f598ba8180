import { expect, test } from 'vitest';
import { BoundedConcurrency } from './bounded-concurrency.js';

test('never more than the bound run at once, and failures free their place', async () => {
  const bounded = new BoundedConcurrency(3);
  let running = 0;
  let most = 0;
  const works = Array.from({ length: 50 }, (_, index) =>
    bounded.run(async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      if (index % 5 === 0) throw new Error('failed');
    }),
  );
  const results = await Promise.allSettled(works);
  expect(results.filter(({ status }) => status === 'rejected')).toHaveLength(10);
  expect([most, running]).toEqual([3, 0]);
});
