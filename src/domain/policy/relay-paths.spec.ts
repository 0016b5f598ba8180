import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PROVIDERS, type Provider } from '../routing/provider.js';
import { pathAllowed } from './relay-paths.js';
import { normalisePath } from './paths.js';
import { resourcePath } from './resource-path.js';

const EVERYTHING = PROVIDERS.map((provider) => `${provider}:/*`);

describe('pathAllowed', () => {
  it.each<[Provider, string, string]>([
    ['openai', 'GET', '/v1/models'],
    ['openai', 'HEAD', '/models/gpt-6-sol'],
    ['openai', 'POST', '/v1/responses/input_tokens'],
    ['anthropic', 'GET', '/v1/models'],
    ['anthropic', 'POST', '/v1/messages/count_tokens'],
    ['google', 'GET', '/v1beta/models/gemini-3.8-flash'],
    ['google', 'GET', '/v1beta/openai/models'],
    ['google', 'POST', '/v1/models/gemini-3.8-flash:countTokens'],
    ['groq', 'GET', '/openai/v1/models/openai/gpt-oss-20b'],
  ])('relays %s %s %s without a list', (provider, method, path) => {
    expect(pathAllowed(provider, method, path, [])).toBe(true);
  });

  it.each<[Provider, string, string]>([
    ['openai', 'DELETE', '/v1/models/ft:gpt-6-sol:mine'],
    ['openai', 'GET', '/v1/files'],
    ['openai', 'GET', '/v1/modelsx'],
    ['openai', 'POST', '/v1/images/generations'],
    ['anthropic', 'POST', '/v1/messages/batches'],
    ['google', 'POST', '/v1beta/models/gemini-3.8-flash:batchGenerateContent'],
    ['google', 'GET', '/v1beta/files'],
    ['groq', 'POST', '/openai/v1/audio/transcriptions'],
  ])('does not relay %s %s %s without a list', (provider, method, path) => {
    expect(pathAllowed(provider, method, path, [])).toBe(false);
  });

  it.each<[string, Provider, string, boolean]>([
    ['openai:/files*', 'openai', '/v1/files/file-1/content', true],
    ['openai:/v1/files*', 'openai', '/files', true],
    ['openai:/files/*', 'openai', '/files', true],
    ['openai:/files', 'openai', '/v1/files/', true],
    ['openai:/files', 'openai', '/v1/files/file-1', false],
    ['openai:/files*', 'groq', '/openai/v1/files', false],
    ['groq:/openai/v1/audio*', 'groq', '/openai/v1/audio/speech', true],
    ['files*', 'openai', '/v1/files', false],
    ['openai:files*', 'openai', '/v1/files', false],
    ['google:/v1beta/files*', 'google', '/v1beta/files/abc', true],
  ])('%s lets %s %s through: %s', (entry, provider, path, expected) => {
    expect(pathAllowed(provider, 'POST', path, [entry])).toBe(expected);
  });

  it.each<[Provider, string]>([
    ['openai', '/v1/organization/users'],
    ['openai', '/organization'],
    ['openai', '/v1/Organization/admin_api_keys'],
    ['openai', '/v1/v1/organization/users'],
    ['openai', '/v1/organization;x/users'],
    ['openai', '/v1/%6frganization/users'],
    ['openai', '/v1/files/../organization/users'],
    ['openai', '/v1/projects/proj_1/roles'],
    ['openai', '/v1/fine_tuning/checkpoints/c/permissions'],
    ['openai', '/v1/dashboard/billing/subscription'],
    ['anthropic', '/v1/organizations/me'],
    ['anthropic', '/v1/organizations/api_keys'],
    ['anthropic', '/v1/compliance/activities'],
    ['google', '/v1beta/tunedModels/t/permissions'],
    ['google', '/v1beta/tunedModels/t/permissions/p'],
    ['google', '/v1beta/tunedModels/t:transferOwnership'],
    ['google', '/v1beta/corpora/c/permissions'],
    ['groq', '/openai/v1/organization'],
  ])('never relays %s %s, whatever is listed', (provider, path) => {
    expect(pathAllowed(provider, 'GET', path, EVERYTHING)).toBe(false);
  });

  it('never relays the administration of organizations, however its path is encoded', () => {
    const letters = fc.array(fc.nat(3), { minLength: 12, maxLength: 12 });
    fc.assert(
      fc.property(letters, (choices) => {
        const word = [...'organization'].map((letter, at) => spelled(letter, choices[at] ?? 0));
        const read = normalisePath(`/v1/${word.join('')}/users`);
        if (!read.ok) return;
        expect(pathAllowed('openai', 'GET', read.path, EVERYTHING)).toBe(false);
      }),
    );
  });
});

describe('resourcePath', () => {
  it.each([
    ['/v1', '/'],
    ['/', '/'],
    ['/openai/v1/models/', '/models'],
    ['/v1beta/openai/models', '/models'],
    ['/v1alpha/models', '/models'],
    ['/models/openai/gpt-oss-20b', '/models/openai/gpt-oss-20b'],
    ['/vector_stores', '/vector_stores'],
  ])('of %s is %s', (path, resource) => expect(resourcePath(path)).toBe(resource));
});

function spelled(letter: string, choice: number): string {
  if (choice === 1) return letter.toUpperCase();
  const hex = letter.charCodeAt(0).toString(16);
  if (choice === 2) return `%${hex}`;
  return choice === 3 ? `%25${hex}` : letter;
}
