import { randomBytes, randomUUID } from 'node:crypto';
import type { AppConfig } from '../../config/app-config.js';
import { ConfigError } from '../../config/environment.js';
import { PROVIDERS, type Provider } from '../../domain/routing/provider.js';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import { hashPassword } from '../../platform/crypto/password.js';
import { totpUri } from '../../platform/crypto/totp.js';
import type { SecretBox } from '../../platform/crypto/secret-box.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { scopeToDirectory } from '../../platform/postgres/session-scope.js';
import { createApiKeyWithin } from '../api-keys/api-key.service.js';
import { auditInstallationWithin } from '../audit/audit-trail.js';
import { TOKEN_LENGTH_MAX, TOKEN_LENGTH_MIN, isUsableToken } from '../api-keys/api-key-token.js';
import { addMemberWithin, OrganizationService } from '../organizations/organization.service.js';
import { createUserWithin, type NewUser } from '../organizations/user.service.js';
import { createProjectWithin } from '../projects/project.service.js';
import { ProviderKeyService, isUsableKey } from '../provider-keys/provider-key.service.js';
import { operatorTotpAad } from './operator-totp.js';

/** What the first start made. The secrets are here once, for `main` to print, and null in production. */
export interface FirstInstallation {
  readonly kind: 'created';
  readonly orgId: string;
  readonly projectId: string;
  readonly organizationName: string;
  readonly ownerEmail: string;
  /** Providers whose keys were taken over from the environment. */
  readonly providerKeysTaken: readonly Provider[];
  readonly secrets: {
    readonly ownerPassword: string;
    readonly projectKey: string;
    readonly operatorName: string;
    readonly operatorSecret: string;
    readonly operatorTotpSecret: string;
    /** For the QR code of an authenticator app. */
    readonly operatorTotpUri: string;
  } | null;
}

/** Production, and nobody said with which credentials to begin: nothing was made. */
export interface BootstrapInstructions {
  readonly kind: 'instructions';
  readonly message: string;
}

export type BootstrapResult = FirstInstallation | BootstrapInstructions;

/** Any number of its own among the advisory locks of the database. */
const LOCK_KEY = 0x73_68_75_6e_75;
const ACTOR: Actor = { kind: 'system', part: 'bootstrap' };
const OPERATOR_NAME = 'operator';
const ORGANIZATION_NAME = 'My organization';
const PROJECT_NAME = 'Default';
const DEFAULT_EMAIL = 'owner@shunt.localhost';

const TOKEN_FAULT = `SHUNT_BOOTSTRAP_PROJECT_KEY needs ${TOKEN_LENGTH_MIN} to ${TOKEN_LENGTH_MAX} visible ASCII characters, without quotes or backslash.`;

const INSTRUCTIONS =
  'There is no organization yet. Set SHUNT_BOOTSTRAP_EMAIL, SHUNT_BOOTSTRAP_PASSWORD and ' +
  'SHUNT_BOOTSTRAP_PROJECT_KEY and start again, or run: npm run shunt -- orgs create --name "..."';

export interface BootstrapContext {
  readonly database: Database;
  readonly secretBox: SecretBox;
  readonly clock: Clock;
  readonly config: Pick<AppConfig, 'production' | 'secrets' | 'bootstrap'>;
}

/**
 * Makes a fresh installation usable: first owner, organization, project, key, operator. Null where there is an
 * organization already. Replicas may start together: one makes, the others find.
 */
export async function bootstrap(context: BootstrapContext): Promise<BootstrapResult | null> {
  return context.database.transaction(async (q) => {
    await q.query('SELECT pg_advisory_xact_lock($1)', [LOCK_KEY]);
    await ensureOperator(q, context);
    await scopeToDirectory(q);
    const existing = await q.query('SELECT FROM organizations LIMIT 1');
    if (existing.length > 0) return null;
    const { email, password, projectKey } = context.config.bootstrap;
    if (context.config.production && !(email && password && projectKey)) {
      return { kind: 'instructions', message: INSTRUCTIONS };
    }
    return createFirst(q, context);
  });
}

async function createFirst(q: Queryable, context: BootstrapContext): Promise<FirstInstallation> {
  const { config, database, secretBox, clock } = context;
  const atMs = clock.nowMs();
  const ownerEmail = config.bootstrap.email ?? DEFAULT_EMAIL;
  const ownerPassword = config.bootstrap.password ?? randomBytes(15).toString('base64url');
  const user = await createUserWithin(q, ownerEmail, ownerPassword);
  if (user.kind !== 'created') throw new ConfigError(faultOf(user));
  const organizations = new OrganizationService(database, secretBox, clock);
  const first = { name: ORGANIZATION_NAME, isFirst: true };
  const organization = await organizations.createWithin(q, first, ACTOR);
  const owner = { userId: user.userId, role: 'owner' } as const;
  await addMemberWithin(q, organization.id, owner, ACTOR, atMs);
  const named = { name: PROJECT_NAME };
  const project = await createProjectWithin(q, organization.id, named, ACTOR, atMs);
  const token = config.bootstrap.projectKey;
  if (token !== null && !isUsableToken(token)) throw new ConfigError(TOKEN_FAULT);
  const fields = { projectId: project.id, name: 'First key', token: token ?? undefined };
  const key = await createApiKeyWithin(q, organization.id, fields, ACTOR, atMs);
  return {
    kind: 'created',
    orgId: organization.id,
    projectId: project.id,
    organizationName: organization.name,
    ownerEmail,
    providerKeysTaken: await takeProviderKeys(q, organization.id, context),
    secrets: config.production ? null : secretsToShow(config.secrets, ownerPassword, key.token),
  };
}

function secretsToShow(
  secrets: AppConfig['secrets'],
  ownerPassword: string,
  projectKey: string,
): FirstInstallation['secrets'] {
  return {
    ownerPassword,
    projectKey,
    operatorName: OPERATOR_NAME,
    operatorSecret: secrets.adminSecret,
    operatorTotpSecret: secrets.adminTotpSecret,
    operatorTotpUri: totpUri(OPERATOR_NAME, secrets.adminTotpSecret),
  };
}

async function takeProviderKeys(
  q: Queryable,
  orgId: string,
  { config, database, secretBox, clock }: BootstrapContext,
): Promise<Provider[]> {
  const providerKeys = new ProviderKeyService(database, secretBox, clock);
  const taken: Provider[] = [];
  for (const provider of PROVIDERS) {
    const secret = config.bootstrap.providerKeys[provider];
    if (secret === undefined) continue;
    if (!isUsableKey(secret)) {
      throw new ConfigError(
        `The ${provider} key in the environment is not a key: it has spaces or other characters.`,
      );
    }
    await providerKeys.setWithin(q, orgId, provider, secret, ACTOR);
    taken.push(provider);
  }
  return taken;
}

/**
 * The first operator, from the configured credentials, in production too: they are given there, and the kill
 * switch must not wait for an organization.
 */
async function ensureOperator(
  q: Queryable,
  { config, secretBox, clock }: BootstrapContext,
): Promise<void> {
  const existing = await q.query('SELECT FROM operators LIMIT 1');
  if (existing.length > 0) return;
  const { adminSecret, adminTotpSecret } = config.secrets;
  const id = randomUUID();
  await q.query(
    'INSERT INTO operators (id, name, secret_hash, totp_secret_sealed) VALUES ($1, $2, $3, $4)',
    [
      id,
      OPERATOR_NAME,
      await hashPassword(adminSecret),
      secretBox.seal(adminTotpSecret, operatorTotpAad(id)),
    ],
  );
  await auditInstallationWithin(q, {
    actor: ACTOR,
    action: 'operator.created',
    atMs: clock.nowMs(),
    subject: id,
    details: { name: OPERATOR_NAME },
  });
}

function faultOf(refused: Exclude<NewUser, { kind: 'created' }>): string {
  switch (refused.kind) {
    case 'email_taken':
      return 'SHUNT_BOOTSTRAP_EMAIL is the address of a user who exists already: use another.';
    case 'weak_password':
      return `SHUNT_BOOTSTRAP_PASSWORD cannot be taken. ${refused.message}`;
  }
}
