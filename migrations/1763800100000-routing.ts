import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What people set about routing. A route rule names the models that a class of calls of a project may go to instead of
 * the one that was asked for: as long as nothing is measured, it is the only thing that lets a call be routed. Rules
 * are not changed but revoked and set anew, so that a stored decision's rule can always be read. Projects say which
 * other providers they let in, what serves when a model fails, and whether they want none of it; an organization says
 * how many of its sessions are left alone for comparison.
 *
 * All of it is part of what a key's look-up brings, and reaches replicas as any other change of an organization does.
 */
export class Routing1763800100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(SETTINGS);
    await runner.query(RULES);
    await runner.query(FIND_PRINCIPAL);
    await runner.query(GRANTS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP FUNCTION find_principal(bytea);
      DROP TABLE route_rules;
      ALTER TABLE projects DROP COLUMN cross_provider_opt_in, DROP COLUMN fallback_models, DROP COLUMN routing_opt_out;
      ALTER TABLE organizations DROP COLUMN control_share_bp;
    `);
  }
}

const TARGETS_MAX = 8;

const SETTINGS = `
  ALTER TABLE organizations
    -- Sessions that keep the requested model, for comparison; hundredths of a percent.
    ADD COLUMN control_share_bp integer NOT NULL DEFAULT 200 CHECK (control_share_bp BETWEEN 0 AND 5000);
  ALTER TABLE projects
    -- Providers that calls may be moved to from another one.
    ADD COLUMN cross_provider_opt_in text[] NOT NULL DEFAULT '{}'
      CHECK (cross_provider_opt_in <@ ARRAY['openai', 'anthropic', 'google', 'groq']),
    -- [{provider, model}], in the order in which they are tried when a model fails.
    ADD COLUMN fallback_models jsonb NOT NULL DEFAULT '[]'
      CHECK (jsonb_typeof(fallback_models) = 'array' AND jsonb_array_length(fallback_models) <= ${TARGETS_MAX}),
    ADD COLUMN routing_opt_out boolean NOT NULL DEFAULT false;
`;

const RULES = `
  CREATE TABLE route_rules (
    org_id uuid NOT NULL REFERENCES organizations (id),
    id uuid NOT NULL,
    project_id uuid NOT NULL,
    -- A route class (a keyed hash), or * for every class of the project that has no rule of its own.
    route_class text NOT NULL CHECK (length(route_class) BETWEEN 1 AND 64),
    -- [{provider, model}], in the order of preference.
    targets jsonb NOT NULL
      CHECK (jsonb_typeof(targets) = 'array' AND jsonb_array_length(targets) BETWEEN 1 AND ${TARGETS_MAX}),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    PRIMARY KEY (org_id, id),
    FOREIGN KEY (org_id, project_id) REFERENCES projects (org_id, id)
  );
  CREATE UNIQUE INDEX route_rules_one_live ON route_rules (org_id, project_id, route_class) WHERE revoked_at IS NULL;

  ALTER TABLE route_rules ENABLE ROW LEVEL SECURITY;
  ALTER TABLE route_rules FORCE ROW LEVEL SECURITY;
  CREATE POLICY tenant ON route_rules
    USING (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid)
    WITH CHECK (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid);
  CREATE POLICY owner_reads ON route_rules FOR SELECT TO CURRENT_USER USING (true);

  CREATE CONSTRAINT TRIGGER route_rules_changed AFTER INSERT OR UPDATE OR DELETE ON route_rules
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_tenancy_change();
`;

const NEGOTIATED_PRICES_MAX = 1000;
/** More live ones cannot be entered; that nothing is left out here, the entry sees to. */
const RULES_MAX = 500;

/** As before, and with what is set about routing: the rules are those of the key's own project. */
const FIND_PRINCIPAL = `
  DROP FUNCTION find_principal(bytea);
  CREATE FUNCTION find_principal(wanted_key_hash bytea)
    RETURNS TABLE (
      version bigint, api_key_id uuid, org_id uuid, project_id uuid,
      expires_at timestamptz, revoked_at timestamptz,
      status text, routing_hold boolean, retention_class text, requests_per_minute integer,
      org_providers text[], org_models text[], is_first boolean, hash_key_sealed bytea, control_share_bp integer,
      project_disabled boolean, strict boolean, default_model text, body_limit_bytes integer,
      project_providers text[], project_models text[], allowed_paths text[],
      cross_provider_opt_in text[], fallback_models jsonb, routing_opt_out boolean,
      route_rules jsonb, provider_keys jsonb, negotiated_prices jsonb
    )
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT c.version FROM public.tenancy_changes c WHERE c.org_id = k.org_id), 0),
           k.id, k.org_id, k.project_id, k.expires_at, k.revoked_at,
           o.status, o.routing_hold, o.retention_class, o.requests_per_minute,
           o.allowed_providers, o.allowed_models, o.is_first, o.hash_key_sealed, o.control_share_bp,
           p.disabled, p.strict, p.default_model, p.body_limit_bytes,
           p.allowed_providers, p.allowed_models, p.allowed_paths,
           p.cross_provider_opt_in, p.fallback_models, p.routing_opt_out,
           coalesce((
             SELECT jsonb_agg(jsonb_build_object(
                      'id', r.id, 'route_class', r.route_class, 'targets', r.targets))
               FROM (SELECT * FROM public.route_rules l
                      WHERE l.org_id = k.org_id AND l.project_id = k.project_id AND l.revoked_at IS NULL
                      ORDER BY l.created_at, l.id LIMIT ${RULES_MAX}) AS r
           ), '[]'::jsonb),
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

const GRANTS = `
  GRANT EXECUTE ON FUNCTION find_principal(bytea) TO shunt_runtime;
  GRANT UPDATE (control_share_bp) ON organizations TO shunt_runtime;
  GRANT UPDATE (cross_provider_opt_in, fallback_models, routing_opt_out) ON projects TO shunt_runtime;
  GRANT SELECT, INSERT ON route_rules TO shunt_runtime;
  GRANT UPDATE (revoked_at) ON route_rules TO shunt_runtime;
`;
