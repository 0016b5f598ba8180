import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Organizations and what belongs to them: projects, members, keys, negotiated prices. Row security is forced on each tenant table,
 * so that a query sees one organization's rows and a query without an organization sees none; the schema, not
 * the code above it, keeps tenants apart.
 *
 * Not tenant tables, and why: `users` (one person may belong to several organizations), `operators` (they serve
 * all), `tenancy_version` (one counter, no data).
 */
export class Tenancy1763600000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('CREATE EXTENSION IF NOT EXISTS citext');
    await runner.query(PEOPLE);
    await runner.query(TENANTS);
    await runner.query(AGREEMENTS);
    await runner.query(CHANGES);
    for (const table of TENANT_TABLES) await runner.query(isolate(table, 'org_id'));
    await runner.query(isolate('organizations', 'id'));
    await runner.query(EXTRA_POLICIES);
    await runner.query(FIND_PRINCIPAL);
    await runner.query(GRANTS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP FUNCTION find_principal(bytea);
      DROP VIEW live_negotiated_prices;
      DROP TABLE tenancy_changes, tenancy_version, negotiated_prices, provider_keys, api_keys, projects,
                 memberships, organizations, operators, users;
      DROP FUNCTION note_tenancy_change();
      DROP FUNCTION refuse_change();
    `);
  }
}

const TENANT_TABLES = [
  'memberships',
  'projects',
  'api_keys',
  'provider_keys',
  'negotiated_prices',
  'tenancy_changes',
] as const;

const PEOPLE = `
  CREATE TABLE users (
    id uuid PRIMARY KEY,
    email citext NOT NULL UNIQUE CHECK (length(email) BETWEEN 3 AND 254),
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
  );

  CREATE TABLE operators (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    secret_hash text NOT NULL,
    totp_secret_sealed bytea NOT NULL,
    -- The step of the last code that was taken: a code works once.
    totp_last_step bigint NOT NULL DEFAULT 0,
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
  );
`;

const TENANTS = `
  CREATE TABLE organizations (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    status text NOT NULL DEFAULT 'observing' CHECK (status IN
      ('observing', 'observation_ended', 'active', 'past_due', 'canceled', 'suspended')),
    retention_class text NOT NULL DEFAULT 'd90' CHECK (retention_class IN ('d30', 'd90', 'd400')),
    requests_per_minute integer CHECK (requests_per_minute > 0),
    -- null allows everything
    allowed_providers text[],
    allowed_models text[],
    -- The organization of the first start; outside production it has the sandbox.
    is_first boolean NOT NULL DEFAULT false,
    -- Keys the hashes of sessions, classes and templates; without it they are meaningless, so deleting it shreds them.
    hash_key_sealed bytea,
    created_at timestamptz NOT NULL DEFAULT now()
  );
  CREATE UNIQUE INDEX organizations_one_first ON organizations (is_first) WHERE is_first;

  CREATE TABLE memberships (
    org_id uuid NOT NULL REFERENCES organizations (id),
    user_id uuid NOT NULL REFERENCES users (id),
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, user_id)
  );
  CREATE INDEX memberships_by_user ON memberships (user_id);

  CREATE TABLE projects (
    org_id uuid NOT NULL REFERENCES organizations (id),
    id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    disabled boolean NOT NULL DEFAULT false,
    strict boolean NOT NULL DEFAULT false,
    default_model text,
    body_limit_bytes integer CHECK (body_limit_bytes > 0),
    allowed_providers text[],
    allowed_models text[],
    -- Relayed paths beyond the default ones.
    allowed_paths text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, name)
  );

  CREATE TABLE api_keys (
    org_id uuid NOT NULL,
    id uuid NOT NULL,
    project_id uuid NOT NULL,
    -- Unique without the organization: it is what the organization is found by.
    key_hash bytea NOT NULL UNIQUE CHECK (octet_length(key_hash) = 32),
    preview text NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    rotated_from uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, project_id) REFERENCES projects (org_id, id),
    FOREIGN KEY (org_id, rotated_from) REFERENCES api_keys (org_id, id)
  );
  CREATE INDEX api_keys_by_project ON api_keys (org_id, project_id);

  CREATE TABLE provider_keys (
    org_id uuid NOT NULL REFERENCES organizations (id),
    id uuid NOT NULL,
    provider text NOT NULL CHECK (provider IN ('openai', 'anthropic', 'google', 'groq')),
    -- Gone once the key is removed; the row stays, because records name it.
    sealed bytea,
    -- Which encryption key sealed it.
    key_id text NOT NULL,
    preview text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    PRIMARY KEY (org_id, id),
    CHECK ((sealed IS NULL) = (revoked_at IS NOT NULL))
  );
  CREATE UNIQUE INDEX provider_keys_one_live ON provider_keys (org_id, provider) WHERE revoked_at IS NULL;
`;

/** What no entry of an agreement may hold, as a path of SQL/JSON: an amount that is not a whole decimal number. */
const NOT_AMOUNT = '? (@.type() != "string" || !(@ like_regex "^(0|[1-9][0-9]{0,29})$"))';

/**
 * What an organization agreed with a provider. Entries are only ever added to: a correction is a later revision
 * of the same day. They go away with their organization alone, hence no trigger on DELETE, which nobody but the
 * owner of the schema has.
 *
 * `live_negotiated_prices` are those that can still price a call: of each model the agreement in force and the ones
 * to come, in their latest revision, and for a day what they replaced, because calls that began under it are still
 * under way.
 */
const AGREEMENTS = `
  CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
  END $$;

  CREATE TABLE negotiated_prices (
    org_id uuid NOT NULL REFERENCES organizations (id),
    provider text NOT NULL CHECK (provider IN ('openai', 'anthropic', 'google', 'groq')),
    model text NOT NULL CHECK (length(model) BETWEEN 1 AND 200),
    -- A day (UTC), because a record names the agreement that priced it by day and revision.
    effective_from timestamptz NOT NULL CHECK (extract(epoch FROM effective_from) % 86400 = 0),
    revision integer NOT NULL DEFAULT 0 CHECK (revision >= 0),
    -- Nano-USD per million units, as decimal strings, by dimension.
    prices jsonb NOT NULL
      CHECK (jsonb_typeof(prices) = 'object' AND NOT jsonb_path_exists(prices, '$.* ${NOT_AMOUNT}')),
    tiers jsonb NOT NULL DEFAULT '[]'
      CHECK (jsonb_typeof(tiers) = 'array' AND NOT jsonb_path_exists(tiers, '$[*].prices.* ${NOT_AMOUNT}')),
    entered_by text NOT NULL,
    entered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, provider, model, effective_from, revision)
  );
  CREATE TRIGGER negotiated_prices_append_only BEFORE UPDATE OR TRUNCATE ON negotiated_prices
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

  CREATE VIEW live_negotiated_prices WITH (security_invoker = true) AS
    SELECT org_id, provider, model, (extract(epoch FROM effective_from) * 1000)::bigint AS effective_from_ms,
           revision, prices, tiers
      FROM (SELECT latest.*, lead(effective_from) OVER (
                     PARTITION BY org_id, provider, model ORDER BY effective_from) AS replaced_from
              FROM (SELECT DISTINCT ON (org_id, provider, model, effective_from)
                           org_id, provider, model, effective_from, revision, prices, tiers
                      FROM negotiated_prices
                     ORDER BY org_id, provider, model, effective_from, revision DESC) AS latest) AS dated
     WHERE replaced_from IS NULL OR replaced_from > now() - interval '1 day';
`;

/**
 * How replicas learn of a change: at commit a counter is bumped, the organization's row in `tenancy_changes`
 * takes its value, and a notification goes out. The notification is fast, the counter cannot be missed.
 * The triggers are deferred, so that the counter's row is locked only while a transaction commits: two
 * transactions that touch several organizations cannot deadlock on it.
 */
const CHANGES = `
  CREATE TABLE tenancy_version (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    version bigint NOT NULL
  );
  INSERT INTO tenancy_version (version) VALUES (1);

  CREATE TABLE tenancy_changes (
    org_id uuid PRIMARY KEY,
    version bigint NOT NULL
  );
  CREATE INDEX tenancy_changes_by_version ON tenancy_changes (version);

  CREATE FUNCTION note_tenancy_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    changed jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
    org uuid := (changed ->> CASE WHEN TG_TABLE_NAME = 'organizations' THEN 'id' ELSE 'org_id' END)::uuid;
    bumped bigint;
  BEGIN
    UPDATE public.tenancy_version SET version = version + 1 RETURNING version INTO bumped;
    INSERT INTO public.tenancy_changes (org_id, version) VALUES (org, bumped)
      ON CONFLICT (org_id) DO UPDATE SET version = excluded.version;
    PERFORM pg_notify('shunt_tenancy', org::text);
    RETURN NULL;
  END $$;
  REVOKE ALL ON FUNCTION note_tenancy_change() FROM PUBLIC;
${['organizations', 'projects', 'api_keys', 'provider_keys', 'negotiated_prices']
  .map(
    (table) => `
  CREATE CONSTRAINT TRIGGER ${table}_changed AFTER INSERT OR UPDATE OR DELETE ON ${table}
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_tenancy_change();`,
  )
  .join('')}
`;

/** FORCE binds the owner too: nobody but a superuser reads across organizations, unless a policy says so by name. */
function isolate(table: string, column: string): string {
  return `
    ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY;
    ALTER TABLE ${table} FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON ${table}
      USING (${column} = nullif(current_setting('shunt.org_id', true), '')::uuid)
      WITH CHECK (${column} = nullif(current_setting('shunt.org_id', true), '')::uuid);
  `;
}

/**
 * Beyond the tenant's own: what `find_principal` and the change trigger do as the owner, the list of
 * organizations for operators and jobs, and a user's own memberships at sign-in.
 */
const EXTRA_POLICIES = `
  CREATE POLICY owner_reads ON organizations FOR SELECT TO CURRENT_USER USING (true);
  CREATE POLICY owner_reads ON projects FOR SELECT TO CURRENT_USER USING (true);
  CREATE POLICY owner_reads ON api_keys FOR SELECT TO CURRENT_USER USING (true);
  CREATE POLICY owner_reads ON provider_keys FOR SELECT TO CURRENT_USER USING (true);
  CREATE POLICY owner_reads ON negotiated_prices FOR SELECT TO CURRENT_USER USING (true);
  CREATE POLICY owner_notes ON tenancy_changes TO CURRENT_USER USING (true) WITH CHECK (true);

  CREATE POLICY directory ON organizations FOR SELECT
    USING (current_setting('shunt.scope', true) = 'directory');
  CREATE POLICY directory ON tenancy_changes FOR SELECT
    USING (current_setting('shunt.scope', true) = 'directory');
  CREATE POLICY own ON memberships FOR SELECT
    USING (user_id = nullif(current_setting('shunt.user_id', true), '')::uuid);
`;

/** More cannot be entered; that nothing is left out here, the entry sees to. */
const NEGOTIATED_PRICES_MAX = 1000;

/**
 * The one look-up before a tenant is known. It answers only who holds a key whose SHA-256 was given, expired
 * and revoked keys included, so that these are known refusals. One statement, hence one snapshot: `version`
 * tells exactly which changes the row includes.
 */
const FIND_PRINCIPAL = `
  CREATE FUNCTION find_principal(wanted_key_hash bytea)
    RETURNS TABLE (
      version bigint, api_key_id uuid, org_id uuid, project_id uuid,
      expires_at timestamptz, revoked_at timestamptz,
      status text, retention_class text, requests_per_minute integer,
      org_providers text[], org_models text[], is_first boolean, hash_key_sealed bytea,
      project_disabled boolean, strict boolean, default_model text, body_limit_bytes integer,
      project_providers text[], project_models text[], allowed_paths text[],
      provider_keys jsonb, negotiated_prices jsonb
    )
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT c.version FROM public.tenancy_changes c WHERE c.org_id = k.org_id), 0),
           k.id, k.org_id, k.project_id, k.expires_at, k.revoked_at,
           o.status, o.retention_class, o.requests_per_minute,
           o.allowed_providers, o.allowed_models, o.is_first, o.hash_key_sealed,
           p.disabled, p.strict, p.default_model, p.body_limit_bytes,
           p.allowed_providers, p.allowed_models, p.allowed_paths,
           coalesce((
             SELECT jsonb_agg(jsonb_build_object(
                      'id', v.id, 'provider', v.provider, 'sealed', encode(v.sealed, 'base64')))
               FROM public.provider_keys v
              WHERE v.org_id = k.org_id AND v.revoked_at IS NULL
           ), '[]'::jsonb),
           coalesce((
             SELECT jsonb_agg(to_jsonb(n) - 'org_id')
               FROM (SELECT * FROM public.live_negotiated_prices l
                      WHERE l.org_id = k.org_id
                      ORDER BY l.effective_from_ms, l.provider, l.model
                      LIMIT ${NEGOTIATED_PRICES_MAX}) AS n
           ), '[]'::jsonb)
      FROM public.api_keys k
      JOIN public.organizations o ON o.id = k.org_id
      JOIN public.projects p ON p.org_id = k.org_id AND p.id = k.project_id
     WHERE k.key_hash = wanted_key_hash
  $$;
  REVOKE ALL ON FUNCTION find_principal(bytea) FROM PUBLIC;
`;

/**
 * The least that the runtime needs, named column by column where it matters: it cannot set an organization's
 * status (only the subscription's own door does), cannot give a key another hash or project, deletes nothing
 * but memberships. No default privileges: a table, or a partition, is open only where a migration says so.
 */
const GRANTS = `
  GRANT USAGE ON SCHEMA public TO shunt_runtime;
  GRANT EXECUTE ON FUNCTION find_principal(bytea) TO shunt_runtime;

  GRANT SELECT, INSERT ON users TO shunt_runtime;
  GRANT UPDATE (email, password_hash) ON users TO shunt_runtime;
  GRANT SELECT, INSERT ON operators TO shunt_runtime;
  GRANT UPDATE (name, secret_hash, totp_secret_sealed, totp_last_step, disabled_at) ON operators TO shunt_runtime;

  GRANT SELECT ON organizations TO shunt_runtime;
  GRANT INSERT (id, name, retention_class, requests_per_minute, allowed_providers, allowed_models, is_first,
                hash_key_sealed) ON organizations TO shunt_runtime;
  GRANT UPDATE (name, retention_class, requests_per_minute, allowed_providers, allowed_models, hash_key_sealed)
    ON organizations TO shunt_runtime;
  GRANT SELECT, INSERT, DELETE ON memberships TO shunt_runtime;
  GRANT UPDATE (role) ON memberships TO shunt_runtime;
  GRANT SELECT, INSERT ON projects TO shunt_runtime;
  GRANT UPDATE (name, disabled, strict, default_model, body_limit_bytes, allowed_providers, allowed_models,
                allowed_paths) ON projects TO shunt_runtime;
  GRANT SELECT, INSERT ON api_keys TO shunt_runtime;
  GRANT UPDATE (name, expires_at, revoked_at) ON api_keys TO shunt_runtime;
  GRANT SELECT, INSERT ON provider_keys TO shunt_runtime;
  GRANT UPDATE (sealed, key_id, revoked_at) ON provider_keys TO shunt_runtime;
  GRANT SELECT, INSERT ON negotiated_prices TO shunt_runtime;
  GRANT SELECT ON live_negotiated_prices TO shunt_runtime;
  GRANT SELECT ON tenancy_version, tenancy_changes TO shunt_runtime;
`;
