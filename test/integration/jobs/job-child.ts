import 'reflect-metadata';
import type { QueueServer } from '../../../src/platform/queue/queue-backend.js';
import { every, startJobs } from './job-rig.js';

/** A process that takes a job and never comes to its end, until it is killed. */
const server = JSON.parse(process.argv[2] ?? '') as QueueServer;
startJobs(server, [
  every(
    60_000,
    'slow',
    () =>
      new Promise(() => {
        process.send?.('taken');
      }),
    600_000,
  ),
]);
setInterval(() => undefined, 1_000);
