import { createObservation } from '../../src/modules/observation/create-observation.js';
import { SubscriptionService } from '../../src/modules/subscriptions/subscription.service.js';
import type { Clock } from '../../src/platform/clock.js';
import type { Database } from '../../src/platform/postgres/database.js';
import type { Logger } from '../../src/platform/telemetry/logger.js';

const DAY_MS = 24 * 60 * 60 * 1_000;

/** A clock that can be put ahead of the machine's. */
export class ClockAhead implements Clock {
  days = 0;

  nowMs(): number {
    return Date.now() + this.days * DAY_MS;
  }
}

/**
 * The job that takes an organization through its observation, as a worker runs it, with a clock of its own: to it two
 * weeks pass in seconds. Calls, their records and everything that people do have the machine's time.
 */
export class AheadWorker {
  readonly clock = new ClockAhead();
  readonly #funnel;

  constructor(database: Database, logger: Logger) {
    const { clock } = this;
    const subscriptions = new SubscriptionService(database, clock, async () => 'off');
    const observation = createObservation({
      database,
      readings: database,
      clock,
      subscriptions,
      logger,
    });
    this.#funnel = observation.observationFunnel;
  }

  async runOnDay(day: number): Promise<void> {
    this.clock.days = day;
    await this.#funnel.runDue();
  }
}
