import { expect, vi } from 'vitest';
import { randomUnit } from '../../support/leak-hunt.js';
import { describeCanary } from './canary-suite.js';
import type { Carrier } from './carrier.js';
import { CALLS, ESTIMATED, ODDITIES, OTHERS, REFUSALS } from './scenarios.js';
import { startTargetProcess } from './target.js';

const unit = randomUnit();

/** Makes the process warn, reject and throw, with the canary in every word, when it is sent SIGUSR2. */
const PROVOCATION = `
  const canary = process.env.CANARY;
  process.on('SIGUSR2', () => {
    process.emitWarning(canary, { type: 'CanaryWarning', code: 'W', detail: canary });
    process.emitWarning(canary, 'DeprecationWarning', 'D');
    Promise.reject(Object.assign(new Error(canary), { detail: canary, cause: canary }));
    Promise.reject(canary);
    setTimeout(() => { throw Object.assign(new Error(canary), { detail: canary, cause: canary }); });
    setTimeout(() => { throw canary; });
  });
`;

const TOLD = [
  [/"msg":"process warning"/g, 2],
  [/"msg":"unhandled rejection"/g, 2],
  [/"msg":"uncaught exception"/g, 2],
] as const;

async function provoke(carrier: Carrier): Promise<void> {
  const { target } = carrier;
  carrier.needles.push({ name: 'warnings and exceptions', text: unit, repeated: true });
  target.child?.kill('SIGUSR2');
  await vi.waitFor(
    () => {
      for (const [told, times] of TOLD) expect(target.output().match(told)).toHaveLength(times);
    },
    { timeout: 10_000, interval: 20 },
  );
  expect((await carrier.callAs(carrier.keyOf('usual'), '/healthz')).status).toBe(200);
}

describeCanary(
  'in a process of its own, at the lowest log level',
  (env) =>
    startTargetProcess({
      ...env,
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(PROVOCATION)}`,
      CANARY: `${unit} ${unit}`,
    }),
  [...CALLS, ...ESTIMATED, ...OTHERS, ...REFUSALS, ...ODDITIES],
  {
    name: 'warnings, rejections and exceptions that nobody caught are told without their words, and it serves on',
    work: provoke,
  },
);
