import { Body, Delete, Get, Header, HttpCode, Inject, Post, StreamableFile } from '@nestjs/common';
import { z } from 'zod';
import { DeletionService } from '../modules/leaving/deletion.service.js';
import { OrganizationExport } from '../modules/leaving/organization-export.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';
import { unknown } from './resource-id.js';

const RETRY_SECONDS = 60;
const DELETION = z.strictObject({
  confirm_name: z.string('is the name of the organization').min(1).max(200),
});

/** An owner takes everything along, or has it deleted. */
@DashboardController('api/organization')
export class LeavingController {
  constructor(
    @Inject(OrganizationExport) private readonly exports: OrganizationExport,
    @Inject(DeletionService) private readonly deletions: DeletionService,
  ) {}

  /**
   * Everything that is kept about the organization, as lines of JSON. A POST, because it leaves an entry in the trail.
   * Where it fails on the way the connection breaks off, and the last line, which says that it is complete, is missing.
   */
  @Post('export')
  @HttpCode(200)
  @Header('content-disposition', 'attachment; filename="shunt-organization.ndjson"')
  @Needs('organization.export')
  async export(@CurrentMember() { orgId, actor }: Member): Promise<StreamableFile> {
    const lines = await this.exports.open(orgId, actor);
    if (lines === null) {
      throw new HttpError(
        429,
        'export_running',
        'An export is under way. Wait until it has ended, or try again in a minute.',
        RETRY_SECONDS,
      );
    }
    return new StreamableFile(lines, { type: 'application/x-ndjson' });
  }

  @Get('deletion')
  @Needs('organization.read')
  async read(@CurrentMember() { orgId }: Member) {
    return { due_at: await this.deletions.dueAt(orgId) };
  }

  /** Traffic goes on until the day comes; until then any owner can withdraw it. */
  @Post('deletion')
  @HttpCode(202)
  @Needs('organization.delete')
  async request(@CurrentMember() { orgId, actor }: Member, @Body() body: unknown) {
    const { confirm_name: typedName } = readBody(DELETION, body);
    const asked = await this.deletions.request(orgId, typedName, actor);
    switch (asked.kind) {
      case 'requested':
        return { due_at: asked.dueAt };
      case 'not_confirmed':
        throw new HttpError(
          400,
          'confirmation_required',
          'Type the name of the organization exactly as it stands into confirm_name.',
        );
      case 'still_paid':
        throw new HttpError(
          409,
          'subscription_still_paid',
          'Cancel the paid subscription first (POST /api/billing/portal), or it would go on being charged.',
        );
      case 'not_found':
        throw unknown('organization');
    }
  }

  @Delete('deletion')
  @Needs('organization.delete')
  async withdraw(@CurrentMember() { orgId, actor }: Member) {
    if (await this.deletions.withdraw(orgId, actor)) return { due_at: null };
    throw new HttpError(409, 'no_deletion', 'No deletion is under way.');
  }
}
