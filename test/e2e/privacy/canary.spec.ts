import { describeCanary } from './canary-suite.js';
import { ABANDONED, CALLS, ESTIMATED, ODDITIES, OTHERS, REFUSALS, SILENT } from './scenarios.js';
import { startTargetHere } from './target.js';

describeCanary(
  'in this process, with limits that a test can wait for',
  (env) => startTargetHere(env, { firstByteMs: 300 }),
  [...CALLS, ...ESTIMATED, ...SILENT, ...ABANDONED, ...OTHERS, ...REFUSALS, ...ODDITIES],
);
