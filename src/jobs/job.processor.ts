import { Inject } from '@nestjs/common';
import { OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import type { Job as QueuedJob } from 'bullmq';
import { JobRuns } from './job-runs.js';
import { LostConnection } from './lost-connection.js';
import { JOB_QUEUE, WORKER_OPTIONS } from './job-queue.js';

/** One worker for all jobs. What it is given is a name, what it gives back is nothing: no content can be queued. */
@Processor({ name: JOB_QUEUE }, WORKER_OPTIONS)
export class JobProcessor extends WorkerHost {
  constructor(
    @Inject(JobRuns) private readonly runs: JobRuns,
    @Inject(LostConnection) private readonly lost: LostConnection,
  ) {
    super();
  }

  async process({ name }: QueuedJob): Promise<void> {
    await this.runs.run(name);
  }

  @OnWorkerEvent('error')
  onError(error: Error): void {
    this.lost.report(error);
  }
}
