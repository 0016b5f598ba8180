import { Get, Inject, Query } from '@nestjs/common';
import { INSTALLATION_ID } from '../modules/audit/audit-entry.js';
import { AuditTrail } from '../modules/audit/audit-trail.js';
import { readBody } from '../platform/http/read-body.js';
import { AdminController } from './admin.controller.js';
import { PAGE_OF_TRAIL } from './admin-input.js';
import { entryOf } from './audit-line.js';

/** The installation's own trail: operators, the global switch. */
@AdminController('audit')
export class AuditController {
  constructor(@Inject(AuditTrail) private readonly trail: AuditTrail) {}

  /** Newest first. `before` takes the smallest `seq` of the page before. */
  @Get()
  async list(@Query() given: unknown) {
    const page = readBody(PAGE_OF_TRAIL, given);
    return { data: (await this.trail.list(INSTALLATION_ID, page)).map(entryOf) };
  }
}
