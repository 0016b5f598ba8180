import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  CallRecorder,
  type CallRecorderOptions,
} from '../../../src/modules/records/call-recorder.js';
import type { RecordDatabase } from '../../../src/modules/records/record-store.js';
import { systemClock } from '../../../src/platform/clock.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { Metrics } from '../../../src/platform/telemetry/metrics.js';

const logger = createLogger('silent');

/** A data directory on the real disk, and processes (in this one) that share it. */
export class PostgresRig {
  readonly dataDir = mkdtempSync(path.join(tmpdir(), 'shunt-records-'));
  readonly encryptionKeys = { current: randomBytes(32), previous: null };

  recorder(
    database: RecordDatabase,
    changes: Partial<CallRecorderOptions> = {},
  ): { recorder: CallRecorder; metric: (name: string) => Promise<number> } {
    const metrics = new Metrics();
    const recorder = new CallRecorder({
      dataDir: this.dataDir,
      encryptionKeys: this.encryptionKeys,
      database,
      clock: systemClock,
      logger,
      metrics,
      ...changes,
    });
    return {
      recorder,
      metric: async (name) => {
        const metric = await metrics.registry.getSingleMetric(name)?.get();
        return (metric?.values ?? []).reduce((sum, value) => sum + value.value, 0);
      },
    };
  }

  remove(): void {
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

/** Resolves when the record is as safe as the spool makes it. */
export function written(append: (onWritten: () => void) => void): Promise<void> {
  return new Promise((resolve) => append(resolve));
}
