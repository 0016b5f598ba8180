import { Body, Delete, Get, Header, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { z } from 'zod';
import {
  ApiKeyService,
  KEYS_MAX,
  type ApiKey,
  type IssuedApiKey,
} from '../modules/api-keys/api-key.service.js';
import { ProjectService } from '../modules/projects/project.service.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';
import { FIELDS } from './resource-fields.js';
import { idOf, unknown, type Resource } from './resource-id.js';

const HOUR_MS = 3_600_000;
const OVERLAP_HOURS_MAX = 24 * 90;
const OVERLAP_HOURS_DEFAULT = 24;
const OVERLAP = `takes whole hours from 0 to ${OVERLAP_HOURS_MAX}`;

const FILTER = z.strictObject({ project_id: FIELDS.id.optional() });
const NEW_KEY = z.strictObject({ project_id: FIELDS.id, name: FIELDS.name });
const ROTATION = z.strictObject({
  overlap_hours: z
    .int(OVERLAP)
    .min(0, OVERLAP)
    .max(OVERLAP_HOURS_MAX, OVERLAP)
    .default(OVERLAP_HOURS_DEFAULT),
});

/** Project keys: what applications call the gateway with. */
@DashboardController('api/keys')
export class KeysController {
  constructor(
    @Inject(ApiKeyService) private readonly keys: ApiKeyService,
    @Inject(ProjectService) private readonly projects: ProjectService,
  ) {}

  /** Newest first, ended and revoked ones included. */
  @Get()
  @Needs('organization.read')
  async list(@CurrentMember() { orgId }: Member, @Query() query: unknown) {
    const { project_id: wanted } = readBody(FILTER, query);
    if (wanted === undefined) return { data: (await this.keys.list(orgId)).map(keyJson) };
    const projectId = idOf('project', wanted);
    if (!(await this.projects.find(orgId, projectId))) throw unknown('project');
    return { data: (await this.keys.list(orgId, projectId)).map(keyJson) };
  }

  /** `token` is in this one answer and never again. */
  @Post()
  @Header('cache-control', 'no-store')
  @Needs('keys.change')
  async create(@CurrentMember() { orgId, actor }: Member, @Body() body: unknown) {
    const { project_id: wanted, name } = readBody(NEW_KEY, body);
    const projectId = idOf('project', wanted);
    return issued(await this.keys.create(orgId, { projectId, name }, actor), 'project');
  }

  /** A new key; the old one goes on for some hours, so that applications can change over. */
  @Post(':id/rotate')
  @Header('cache-control', 'no-store')
  @Needs('keys.change')
  async rotate(
    @CurrentMember() { orgId, actor }: Member,
    @Param('id') id: string,
    @Body() body: unknown,
  ) {
    const keyId = idOf('key', id);
    const { overlap_hours: hours } = readBody(ROTATION, body);
    return issued(await this.keys.rotate(orgId, keyId, hours * HOUR_MS, actor), 'key');
  }

  /** Refused on every replica within a second. 404 where it was revoked before. */
  @Delete(':id')
  @HttpCode(204)
  @Needs('keys.change')
  async revoke(@CurrentMember() { orgId, actor }: Member, @Param('id') id: string): Promise<void> {
    if (!(await this.keys.revoke(orgId, idOf('key', id), actor))) throw unknown('key');
  }
}

function issued(result: IssuedApiKey, missing: Resource) {
  if (result.kind === 'not_found') throw unknown(missing);
  if (result.kind === 'too_many') {
    throw new HttpError(
      409,
      'too_many_keys',
      `An organization has up to ${KEYS_MAX} live keys. Revoke those that are not used any more.`,
    );
  }
  return { ...keyJson(result.key), token: result.token };
}

function keyJson(key: ApiKey) {
  return {
    id: key.id,
    project_id: key.projectId,
    name: key.name,
    preview: key.preview,
    rotated_from: key.rotatedFrom,
    created_at: key.createdAt,
    expires_at: key.expiresAt,
    revoked_at: key.revokedAt,
  };
}
