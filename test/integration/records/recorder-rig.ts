import { randomBytes } from 'node:crypto';
import {
  CallRecorder,
  type CallRecorderOptions,
} from '../../../src/modules/records/call-recorder.js';
import { RECORD_LIMITS, type RecordLimits } from '../../../src/modules/records/record-limits.js';
import type { ProcessIdentity } from '../../../src/modules/records/spool/process-identity.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { Metrics } from '../../../src/platform/telemetry/metrics.js';
import { FakeDatabase } from './fake-database.js';
import { ManualTime } from './manual-time.js';
import { MemoryFiles } from './memory-files.js';

const logger = createLogger('silent');

/** A simulated host: processes come and go, its disk and database stay. */
export class RecorderRig {
  readonly time = new ManualTime();
  readonly files = new MemoryFiles(() => this.time.nowMs());
  readonly database = new FakeDatabase();
  readonly #livePids = new Set<number>();
  #lastPid = 0;

  constructor(
    private readonly limits: Partial<RecordLimits> = {},
    private readonly encryptionKeys: CallRecorderOptions['encryptionKeys'] = {
      current: randomBytes(32),
      previous: null,
    },
  ) {}

  process(changes: Partial<CallRecorderOptions> = {}): RiggedProcess {
    const pid = ++this.#lastPid;
    this.#livePids.add(pid);
    const metrics = new Metrics();
    // Timers of a process end with it; the clock is everybody's.
    const schedule = new ManualTime();
    const recorder = new CallRecorder({
      dataDir: '/data',
      encryptionKeys: this.encryptionKeys,
      database: this.database,
      clock: this.time,
      logger,
      metrics,
      limits: { ...RECORD_LIMITS, ...this.limits },
      files: this.files,
      schedule,
      identity: identityOf(pid),
      alive: (owner) => this.#livePids.has(owner.pid),
      random: () => 0,
      ...changes,
    });
    return new RiggedProcess(recorder, metrics, schedule, () => this.#livePids.delete(pid));
  }

  /** Segment files on the disk. */
  segments(): string[] {
    return this.files.paths().filter((file) => /\d{8}\.seg$/.test(file));
  }
}

export class RiggedProcess {
  constructor(
    readonly recorder: CallRecorder,
    private readonly metrics: Metrics,
    readonly schedule: ManualTime,
    private readonly died: () => void,
  ) {}

  /** Ends the turn of the event loop. */
  turn(): void {
    this.schedule.turn();
  }

  /** Writes to the database until nothing is left to do, or it fails. */
  async drain(): Promise<void> {
    this.turn();
    for (let passes = 0; passes < 10_000; passes++) {
      const result = await this.recorder.writer.pass();
      this.turn();
      if (result !== 'progress') return;
    }
    throw new Error('the writer does not come to an end');
  }

  async adopt(): Promise<void> {
    this.recorder.lookForOrphans();
    await this.drain();
  }

  /** kill -9: nothing more runs; what was written stays. */
  kill(): void {
    this.schedule.stop();
    this.recorder.writer.stop();
    this.died();
  }

  async metric(name: string): Promise<number> {
    const metric = await this.metrics.registry.getSingleMetric(name)?.get();
    return (metric?.values ?? []).reduce((sum, value) => sum + value.value, 0);
  }
}

function identityOf(pid: number): ProcessIdentity {
  return {
    hostname: 'host',
    boot_id: 'boot',
    pid_namespace: 'pid:[1]',
    pid,
    process_started: String(pid),
  };
}
