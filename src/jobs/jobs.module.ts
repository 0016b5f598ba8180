import { BullModule, getQueueToken } from '@nestjs/bullmq';
import { Module, type DynamicModule } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { queueConnection, type QueueServer } from '../platform/queue/queue-backend.js';
import { JOB_QUEUE } from './job-queue.js';
import { JobProcessor } from './job.processor.js';
import { JobRuns } from './job-runs.js';
import { LostConnection } from './lost-connection.js';

/** The queue only keeps the schedule: one connection is enough for it, and it is closed when idle. */
const POOL_SIZE = 2;
/** Of the stream of events, which nobody listens to. */
const EVENTS_MAX = 500;

/** The queue and its worker. A module of its own, so that both can be opened anew without the rest. */
@Module({})
export class JobsModule {
  static of(server: QueueServer, runs: JobRuns, lost: LostConnection): DynamicModule {
    return {
      module: JobsModule,
      imports: [
        BullModule.registerQueue({
          name: JOB_QUEUE,
          connection: queueConnection(server, POOL_SIZE),
          streams: { events: { maxLen: EVENTS_MAX } },
        }),
      ],
      providers: [
        JobProcessor,
        { provide: JobRuns, useValue: runs },
        { provide: LostConnection, useValue: lost },
        {
          // Made as soon as the queue is: an error that nobody listens to would be printed as it came.
          provide: 'queue errors',
          useFactory: (queue: Queue) => queue.on('error', (error) => lost.report(error)),
          inject: [getQueueToken(JOB_QUEUE)],
        },
      ],
    };
  }
}
