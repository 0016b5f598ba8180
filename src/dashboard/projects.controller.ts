import { Body, Get, Inject, Param, Patch, Post } from '@nestjs/common';
import { z } from 'zod';
import type { Project } from '../modules/projects/project.js';
import {
  PROJECTS_MAX,
  ProjectService,
  type SavedProject,
} from '../modules/projects/project.service.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';
import { FIELDS } from './resource-fields.js';
import { idOf, unknown } from './resource-id.js';

const SETTINGS = {
  disabled: z.boolean('takes true or false').optional(),
  strict: z.boolean('takes true or false').optional(),
  default_model: FIELDS.model.nullable().optional(),
  body_limit_bytes: FIELDS.bodyLimitBytes.optional(),
  allowed_providers: FIELDS.allowedProviders.optional(),
  allowed_models: FIELDS.allowedModels.optional(),
  allowed_paths: FIELDS.allowedPaths.optional(),
  cross_provider_opt_in: FIELDS.crossProviderOptIn.optional(),
  fallback_models: FIELDS.fallbackModels.optional(),
  routing_opt_out: z.boolean('takes true or false').optional(),
};
const NEW_PROJECT = z.strictObject({ name: FIELDS.name, ...SETTINGS });
const CHANGES = z.strictObject({ name: FIELDS.name.optional(), ...SETTINGS });

/** The applications of the organization, and what their keys may use. */
@DashboardController('api/projects')
export class ProjectsController {
  constructor(@Inject(ProjectService) private readonly projects: ProjectService) {}

  @Get()
  @Needs('organization.read')
  async list(@CurrentMember() { orgId }: Member) {
    const projects = await this.projects.list(orgId);
    return { data: projects.map(projectJson) };
  }

  @Post()
  @Needs('projects.change')
  async create(@CurrentMember() { orgId, actor }: Member, @Body() body: unknown) {
    const { name, ...settings } = readBody(NEW_PROJECT, body);
    return saved(await this.projects.create(orgId, { name, ...settingsFrom(settings) }, actor));
  }

  @Get(':id')
  @Needs('organization.read')
  async one(@CurrentMember() { orgId }: Member, @Param('id') id: string) {
    const project = await this.projects.find(orgId, idOf('project', id));
    if (!project) throw unknown('project');
    return projectJson(project);
  }

  /** Every replica applies it within a second. */
  @Patch(':id')
  @Needs('projects.change')
  async change(
    @CurrentMember() { orgId, actor }: Member,
    @Param('id') id: string,
    @Body() body: unknown,
  ) {
    const projectId = idOf('project', id);
    const { name, ...settings } = readBody(CHANGES, body);
    const changes = { name, ...settingsFrom(settings) };
    return saved(await this.projects.update(orgId, projectId, changes, actor));
  }
}

function settingsFrom(given: Omit<z.output<typeof CHANGES>, 'name'>) {
  return {
    disabled: given.disabled,
    strict: given.strict,
    defaultModel: given.default_model,
    bodyLimitBytes: given.body_limit_bytes,
    allowedProviders: given.allowed_providers,
    allowedModels: given.allowed_models,
    allowedPaths: given.allowed_paths,
    crossProviderOptIn: given.cross_provider_opt_in,
    fallbackModels: given.fallback_models,
    routingOptOut: given.routing_opt_out,
  };
}

function saved(result: SavedProject) {
  switch (result.kind) {
    case 'saved':
      return projectJson(result.project);
    case 'not_found':
      throw unknown('project');
    case 'too_many':
      throw new HttpError(
        409,
        'too_many_projects',
        `An organization has up to ${PROJECTS_MAX} projects.`,
      );
    case 'name_taken':
      throw new HttpError(
        409,
        'name_taken',
        'The organization has a project of that name already.',
      );
  }
}

function projectJson(project: Project) {
  return {
    id: project.id,
    name: project.name,
    disabled: project.disabled,
    strict: project.strict,
    default_model: project.defaultModel,
    body_limit_bytes: project.bodyLimitBytes,
    allowed_providers: project.allowedProviders,
    allowed_models: project.allowedModels,
    allowed_paths: project.allowedPaths,
    cross_provider_opt_in: project.crossProviderOptIn,
    fallback_models: project.fallbackModels,
    routing_opt_out: project.routingOptOut,
    created_at: project.createdAt,
  };
}
