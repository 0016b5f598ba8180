import { Get, Inject } from '@nestjs/common';
import { Breakers } from '../modules/resilience/breakers.js';
import { AdminController } from './admin.controller.js';

/** What this replica has heard of models that fail, and what others told it; the open ones first. */
@AdminController('breakers')
export class BreakersController {
  constructor(@Inject(Breakers) private readonly breakers: Breakers) {}

  @Get()
  read() {
    const data = this.breakers.states().map((reading) => ({
      provider: reading.provider,
      model: reading.model,
      synthetic: reading.synthetic,
      state: reading.state,
      open_for: reading.openFor,
      since: reading.since,
      recent_succeeded: reading.recentSucceeded,
      recent_failed: reading.recentFailed,
    }));
    return { data };
  }
}
