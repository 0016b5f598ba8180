import { Body, Delete, Get, HttpCode, Inject, Param, Put } from '@nestjs/common';
import { z } from 'zod';
import { PROVIDERS, type Provider } from '../domain/routing/provider.js';
import {
  ProviderKeyService,
  isUsableKey,
  type ProviderKey,
} from '../modules/provider-keys/provider-key.service.js';
import { HttpError } from '../platform/http/http-error.js';
import { readBody } from '../platform/http/read-body.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';

const NEW_KEY = z.strictObject({
  key: z
    .string('takes the key of the provider')
    .trim()
    .refine(isUsableKey, 'is no key: empty, too long, or with spaces or other characters'),
});

/** The organization's own keys at the providers. A secret goes in and never comes out: answers show a preview. */
@DashboardController('api/provider-keys')
export class ProviderKeysController {
  constructor(@Inject(ProviderKeyService) private readonly keys: ProviderKeyService) {}

  @Get()
  @Needs('organization.read')
  async list(@CurrentMember() { orgId }: Member) {
    return { data: (await this.keys.list(orgId)).map(keyJson) };
  }

  @Get(':provider')
  @Needs('organization.read')
  async one(@CurrentMember() { orgId }: Member, @Param('provider') name: string) {
    const provider = providerOf(name);
    const key = (await this.keys.list(orgId)).find((candidate) => candidate.provider === provider);
    if (!key) throw noKey(provider);
    return keyJson(key);
  }

  /** Sets or replaces it; every replica uses it within a second. */
  @Put(':provider')
  @Needs('provider_keys.change')
  async set(
    @CurrentMember() { orgId, actor }: Member,
    @Param('provider') name: string,
    @Body() body: unknown,
  ) {
    const provider = providerOf(name);
    const { key } = readBody(NEW_KEY, body);
    return keyJson(await this.keys.set(orgId, provider, key, actor));
  }

  /** The secret is gone for good. */
  @Delete(':provider')
  @HttpCode(204)
  @Needs('provider_keys.change')
  async remove(
    @CurrentMember() { orgId, actor }: Member,
    @Param('provider') name: string,
  ): Promise<void> {
    const provider = providerOf(name);
    if (!(await this.keys.remove(orgId, provider, actor))) throw noKey(provider);
  }
}

function providerOf(name: string): Provider {
  const provider = PROVIDERS.find((known) => known === name);
  if (provider !== undefined) return provider;
  throw new HttpError(404, 'unknown_provider', `The providers are ${PROVIDERS.join(', ')}.`);
}

function noKey(provider: Provider): HttpError {
  return new HttpError(
    404,
    'unknown_provider_key',
    `The organization has no key of its own at ${provider}.`,
  );
}

function keyJson({ id, provider, preview, createdAt }: ProviderKey) {
  return { id, provider, preview, created_at: createdAt };
}
