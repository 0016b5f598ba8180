/** A process that appends calls until it is killed, and says on standard output which of them it was told are written. */
import { writeSync } from 'node:fs';
import { CallRecorder } from '../../../src/modules/records/call-recorder.js';
import { RECORD_LIMITS } from '../../../src/modules/records/record-limits.js';
import { systemClock } from '../../../src/platform/clock.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { Metrics } from '../../../src/platform/telemetry/metrics.js';
import { finalOf, startOf } from './record-samples.js';

const [dataDir, key, orgId] = process.argv.slice(2) as [string, string, string];
const CALLS_PER_TURN = 8;

const recorder = new CallRecorder({
  dataDir,
  encryptionKeys: { current: Buffer.from(key, 'base64'), previous: null },
  // Away for the whole life of this process: all that survives it is the spool.
  database: { tenant: () => Promise.reject(new Error('down')), query: async () => [] },
  clock: systemClock,
  logger: createLogger('silent'),
  metrics: new Metrics(),
  limits: { ...RECORD_LIMITS, segmentBytes: 128 * 1024 },
});
recorder.run();

function appendCalls(): void {
  for (let n = 0; n < CALLS_PER_TURN; n++) {
    const start = startOf(Date.now(), { org_id: orgId });
    recorder.start(start, () => {
      writeSync(1, `s ${start.request_id}\n`);
      if (n === 0) return;
      recorder.finish(finalOf(start), () => writeSync(1, `f ${start.request_id}\n`));
    });
  }
  setImmediate(appendCalls);
}

appendCalls();
