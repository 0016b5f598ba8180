import { ApiKeyService } from '../../src/modules/api-keys/api-key.service.js';
import { OrganizationService } from '../../src/modules/organizations/organization.service.js';
import type { ProjectChanges } from '../../src/modules/projects/project.js';
import { ProjectService } from '../../src/modules/projects/project.service.js';
import { ProviderKeyService } from '../../src/modules/provider-keys/provider-key.service.js';
import type { Provider } from '../../src/domain/routing/provider.js';
import { systemClock } from '../../src/platform/clock.js';
import type { SecretBox } from '../../src/platform/crypto/secret-box.js';
import type { Actor } from '../../src/domain/subscription/actor.js';
import type { Database } from '../../src/platform/postgres/database.js';

/** Whoever arranges what a test needs. */
export const ACTOR: Actor = { kind: 'system', part: 'test' };

export interface Tenant {
  readonly orgId: string;
  readonly projectId: string;
  readonly apiKeyId: string;
  /** The project key itself, as an SDK sends it. */
  readonly apiKey: string;
}

/** Another organization in a running installation, with a project, a project key and provider keys. */
export async function addOrganization(
  database: Database,
  secretBox: SecretBox,
  name: string,
  providerKeys: Readonly<Partial<Record<Provider, string>>>,
): Promise<Tenant> {
  const { id: orgId } = await new OrganizationService(database, secretBox, systemClock).create(
    { name },
    ACTOR,
  );
  const keys = new ProviderKeyService(database, secretBox, systemClock);
  for (const [provider, secret] of Object.entries(providerKeys)) {
    await keys.set(orgId, provider as Provider, secret, ACTOR);
  }
  return addProject(database, orgId, { name: 'default' });
}

/** Another project of an organization, with a key. */
export async function addProject(
  database: Database,
  orgId: string,
  fields: ProjectChanges & { readonly name: string },
): Promise<Tenant> {
  const made = await new ProjectService(database, systemClock).create(orgId, fields, ACTOR);
  if (made.kind !== 'saved') throw new Error(`project: ${made.kind}`);
  const projectId = made.project.id;
  const keys = new ApiKeyService(database, systemClock);
  const issued = await keys.create(orgId, { projectId, name: `key of ${fields.name}` }, ACTOR);
  if (issued.kind !== 'issued') throw new Error(`key: ${issued.kind}`);
  return { orgId, projectId, apiKeyId: issued.key.id, apiKey: issued.token };
}
