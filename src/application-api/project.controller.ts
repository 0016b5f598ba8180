import { Controller, Get, Inject, Req, UseGuards } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { PROVIDERS, type Provider } from '../domain/routing/provider.js';
import { isLoopback } from '../platform/trusted-proxies.js';
import { ProjectKeyGuard, type ApplicationRequest } from './project-key.guard.js';

/** What a project key stands for. */
@Controller('shunt/v1/project')
@UseGuards(ProjectKeyGuard)
export class ProjectController {
  constructor(@Inject(APP_CONFIG) private readonly config: AppConfig) {}

  @Get()
  read(@Req() { principal }: ApplicationRequest) {
    const providers = PROVIDERS.filter(
      (provider) => principal.providerKeys[provider] !== undefined,
    );
    return {
      project_id: principal.projectId,
      organization_id: principal.orgId,
      api_key_id: principal.apiKeyId,
      mode: principal.status,
      strict: principal.strict,
      default_model: principal.defaultModel,
      providers,
      upstream: providers.some((provider) => this.isReal(provider)) ? 'real' : 'sandbox',
    };
  }

  /** An upstream on this machine costs nobody money. */
  private isReal(provider: Provider): boolean {
    const { hostname } = new URL(this.config.upstreams[provider]);
    return hostname !== 'localhost' && !isLoopback(hostname.replace(/^\[|\]$/g, ''));
  }
}
