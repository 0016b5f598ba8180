import { Controller, Get, Req, UseGuards } from '@nestjs/common';
import { PROVIDERS } from '../domain/routing/provider.js';
import { ProjectKeyGuard, type ApplicationRequest } from './project-key.guard.js';

/** What a project key stands for. */
@Controller('shunt/v1/project')
@UseGuards(ProjectKeyGuard)
export class ProjectController {
  @Get()
  read(@Req() { principal }: ApplicationRequest) {
    const providers = PROVIDERS.filter(
      (provider) => principal.providerKeys[provider] !== undefined,
    );
    return {
      project_id: principal.projectId,
      organization_id: principal.orgId,
      api_key_id: principal.apiKeyId,
      mode: principal.standing.status,
      strict: principal.strict,
      default_model: principal.defaultModel,
      providers,
      upstream: providers.length > 0 ? 'real' : 'sandbox',
    };
  }
}
