import type { Clock } from '../../platform/clock.js';
import type { RecordLimits } from './record-limits.js';
import type { QuietLog, RecordMetrics } from './record-metrics.js';
import type { Schedule } from './schedule.js';
import type { SpoolFiles } from './spool/spool-files.js';
import type { SpoolKeys } from './spool/spool-keys.js';

/** What every part of the record pipeline works with. */
export interface RecordContext {
  /** `<dataDir>/spool`: shared by the processes of a data directory. */
  readonly root: string;
  readonly files: SpoolFiles;
  readonly keys: SpoolKeys;
  readonly limits: RecordLimits;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly metrics: RecordMetrics;
  readonly log: QuietLog;
}
