import { MEMBER_ROLES, type MemberRole } from '../../../src/domain/policy/permissions.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import { withConnection } from '../../../src/platform/postgres/single-connection.js';
import { signInOperator } from '../../support/admin-client.js';
import { signIn, type DashboardClient } from '../../support/dashboard-client.js';
import { embeddedLogins } from '../../support/embedded-logins.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { ACTOR, addOrganization, type Tenant } from '../../support/tenants.js';
import { watchRoutes } from '../../support/watch-routes.js';

/** What an example body can name of an organization. */
export interface Ids {
  readonly orgId: string;
  readonly projectId: string;
  readonly apiKeyId: string;
  /** The first owner's. */
  readonly userId: string;
  readonly reportId: string;
}

/** One installation with two organizations, and a browser for each role of the first. */
export interface TwoDashboards {
  readonly gateway: TestGateway;
  readonly own: Ids;
  readonly foreign: Ids;
  /** Every id in a row of the foreign organization, of its owner or of the owner's session. */
  foreignIds(): Promise<string[]>;
  /** Signed in, by their role in the own organization. */
  readonly members: Readonly<Record<MemberRole, DashboardClient>>;
  /** A cookie of an operator's session. */
  readonly operatorCookie: string;
  /** `GET /path`, as the framework's router has them. */
  readonly routes: readonly string[];
  /** One line for each table: what any change in it changes. */
  state(): Promise<Readonly<Record<string, string>>>;
  stop(): Promise<void>;
}

const PASSWORD = 'long enough for everybody';

/** Looking at a session changes it; every other table stays as it is while requests are refused. */
const CHANGES_BY_LOOKING = new Set(['sessions', 'operator_sessions']);

export async function startTwoDashboards(
  env: Readonly<Record<string, string>> = {},
): Promise<TwoDashboards> {
  const routes = watchRoutes();
  const gateway = await startGateway({ env });
  try {
    return await furnish(gateway, routes);
  } catch (error) {
    await gateway.stop();
    throw error;
  }
}

async function furnish(gateway: TestGateway, routes: readonly string[]): Promise<TwoDashboards> {
  const { database, config } = gateway.app.engine;
  const secretBox = new SecretBox(config.encryptionKeys);
  const keys = { openai: 'sk-own-000000000000000000', groq: 'gsk_own0000000000000000' };
  const first = await addOrganization(database, secretBox, 'Own', keys);
  const second = await addOrganization(database, secretBox, 'Foreign', keys);
  const people = new Map<string, string>();
  for (const role of MEMBER_ROLES) {
    people.set(role, await addPerson(gateway, first.orgId, `${role}@own.test`, role));
  }
  const stranger = await addPerson(gateway, second.orgId, 'owner@foreign.test', 'owner');
  const members = {
    owner: await signIn(gateway, { email: 'owner@own.test', password: PASSWORD }),
    admin: await signIn(gateway, { email: 'admin@own.test', password: PASSWORD }),
    member: await signIn(gateway, { email: 'member@own.test', password: PASSWORD }),
  };
  const foreigner = await signIn(gateway, { email: 'owner@foreign.test', password: PASSWORD });
  const own = await fill(gateway, members.owner, first, people.get('owner') ?? '');
  const foreign = await fill(gateway, foreigner, second, stranger);
  if (!(await gateway.app.engine.recorder.flush(20_000))) throw new Error('records not written');
  const superuser = <Row>(sql: string, parameters: readonly unknown[] = []): Promise<Row[]> => {
    const { superuserUrl } = embeddedLogins(gateway.dataDir);
    const options = { url: superuserUrl, statementTimeoutMs: 20_000 };
    return withConnection(options, (q) => q.query<Row>(sql, parameters));
  };
  return {
    gateway,
    own,
    foreign,
    members,
    operatorCookie: (await signInOperator(gateway)).cookie,
    routes,
    foreignIds: () => foreignIds(superuser, foreign),
    state: () => stateOf(superuser),
    stop: () => gateway.stop(),
  };
}

async function addPerson(
  { app }: TestGateway,
  orgId: string,
  email: string,
  role: MemberRole,
): Promise<string> {
  const { users, organizations } = app.engine.services;
  const made = await users.create(email, PASSWORD);
  if (made.kind !== 'created') throw new Error(made.kind);
  await organizations.addMember(orgId, made.userId, role, ACTOR);
  return made.userId;
}

/** One of each thing that an id can name, so that there is something to be refused. */
async function fill(
  { origin }: TestGateway,
  owner: DashboardClient,
  { orgId, projectId, apiKeyId, apiKey }: Tenant,
  userId: string,
): Promise<Ids> {
  const report = await owner.post('/api/reports');
  const invitation = { email: `invited@${orgId}.test`, role: 'member' };
  const invited = await owner.post('/api/invitations', invitation);
  if (report.status !== 201 || invited.status !== 201) throw new Error(report.text + invited.text);
  // Refused before any provider is asked, and recorded all the same.
  const refused = await fetch(`${origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: '{}',
  });
  if (refused.status !== 400) throw new Error(`call: ${refused.status}`);
  return { orgId, projectId, apiKeyId, userId, reportId: report.body.id as string };
}

type Superuser = <Row>(sql: string, parameters?: readonly unknown[]) => Promise<Row[]>;

async function foreignIds(superuser: Superuser, { orgId, userId }: Ids): Promise<string[]> {
  const columns = await superuser<{ table: string; column: string }>(
    `SELECT c.table_name AS table, c.column_name AS column FROM information_schema.columns c
      WHERE c.table_schema = 'public' AND c.udt_name = 'uuid'
        AND EXISTS (SELECT FROM information_schema.columns o
                     JOIN information_schema.tables t USING (table_schema, table_name)
                     WHERE o.table_schema = 'public' AND o.table_name = c.table_name
                       AND t.table_type = 'BASE TABLE' AND o.column_name = 'org_id')`,
  );
  const queries = columns.map(
    ({ table, column }) => `SELECT "${column}" AS id FROM "${table}" WHERE org_id = $1`,
  );
  const sessions = 'SELECT id FROM sessions WHERE user_id = $2';
  const rows = await superuser<{ id: string | null }>(
    [...queries, sessions, 'SELECT $1::uuid', 'SELECT $2::uuid'].join(' UNION '),
    [orgId, userId],
  );
  return rows.flatMap(({ id }) => (id === null ? [] : [id]));
}

async function stateOf(superuser: Superuser): Promise<Readonly<Record<string, string>>> {
  const tables = await superuser<{ name: string }>(
    `SELECT relname AS name FROM pg_class
      WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1`,
  );
  const names = tables.map(({ name }) => name).filter((name) => !CHANGES_BY_LOOKING.has(name));
  const digests = names.map(
    (name) =>
      `SELECT '${name}' AS name, md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) AS digest FROM "${name}" t`,
  );
  const rows = await superuser<{ name: string; digest: string }>(digests.join(' UNION ALL '));
  return Object.fromEntries(rows.map(({ name, digest }) => [name, digest]));
}
