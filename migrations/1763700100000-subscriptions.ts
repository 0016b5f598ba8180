import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The one door to a subscription's status. The runtime has no right to write a status or a hold: it calls
 * `change_subscription`, which changes and audits in one step. Behind that stands a trigger that binds everybody,
 * the owner of the schema too: at commit a changed status must have its entry in the trail, of this transaction,
 * and the step must be one that the table of transitions knows; and an entry that tells of a change must be true.
 *
 * Also the global routing switch, and what replicas read to follow both.
 */
export class Subscriptions1763700100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(COLUMNS);
    await runner.query(LEGAL);
    await runner.query(GUARD);
    await runner.query(DOOR);
    await runner.query(GLOBAL_SWITCH);
    await runner.query(FIND_PRINCIPAL);
    await runner.query(GRANTS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TRIGGER audit_log_tells_the_truth ON audit_log;
      DROP TRIGGER organizations_status_guarded ON organizations;
      DROP FUNCTION check_status_entry();
      DROP FUNCTION check_status_change();
      DROP FUNCTION change_subscription(uuid, text, text, text, boolean, timestamptz, text, text, text, jsonb);
      DROP FUNCTION is_legal_transition(text, text, text);
      DROP FUNCTION set_global_routing(boolean, timestamptz, text, text, text);
      DROP FUNCTION find_principal(bytea);
      ALTER TABLE tenancy_version DROP COLUMN routing_enabled;
      ALTER TABLE organizations DROP COLUMN routing_hold, DROP COLUMN activated_at;
    `);
  }
}

const COLUMNS = `
  ALTER TABLE organizations
    -- Set by an operator's kill switch; nobody activates routing until an operator releases it.
    ADD COLUMN routing_hold boolean NOT NULL DEFAULT false,
    -- The last time that a person enabled routing.
    ADD COLUMN activated_at timestamptz;
  ALTER TABLE tenancy_version ADD COLUMN routing_enabled boolean NOT NULL DEFAULT true;
`;

/** domain/subscription/transitions.ts as the database knows it; a test holds the two against each other. */
export const LEGAL_TRANSITIONS = [
  ['close_window', 'observing', 'observation_ended'],
  ['activate', 'observing', 'active'],
  ['activate', 'observation_ended', 'active'],
  ['activate', 'canceled', 'active'],
  ['deactivate', 'active', 'observing'],
  ['deactivate', 'past_due', 'observing'],
  ['cancel', 'active', 'canceled'],
  ['cancel', 'past_due', 'canceled'],
  ['kill', 'active', 'observing'],
  ['kill', 'past_due', 'observing'],
  ['payment_past_due', 'active', 'past_due'],
  ['payment_recovered', 'past_due', 'active'],
  ['billing_canceled', 'active', 'canceled'],
  ['billing_canceled', 'past_due', 'canceled'],
  ['suspend', 'observing', 'suspended'],
  ['suspend', 'observation_ended', 'suspended'],
  ['suspend', 'active', 'suspended'],
  ['suspend', 'past_due', 'suspended'],
  ['suspend', 'canceled', 'suspended'],
  ['reinstate', 'suspended', 'observing'],
] as const;

const LEGAL = `
  CREATE FUNCTION is_legal_transition(event text, old_status text, new_status text) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (event, old_status, new_status) IN (${LEGAL_TRANSITIONS.map(
      (step) => `('${step.join("', '")}')`,
    ).join(', ')})
  $$;
`;

/**
 * Entries of a changed status or hold have the action `subscription.<event>`, the old and the new status as values,
 * and the hold in the details.
 */
const GUARD = `
  CREATE FUNCTION check_status_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    IF EXISTS (
      SELECT FROM public.audit_log a
       WHERE a.org_id = NEW.id AND a.transaction_id = pg_current_xact_id()
         AND a.action LIKE 'subscription.%' AND a.old_value = OLD.status AND a.new_value = NEW.status
         AND (OLD.status = NEW.status
              OR public.is_legal_transition(substr(a.action, length('subscription.') + 1), OLD.status, NEW.status))
         AND (a.details ->> 'hold')::boolean = NEW.routing_hold
    ) THEN
      RETURN NULL;
    END IF;
    RAISE EXCEPTION 'a status or hold of an organization changes only together with its entry in audit_log'
      USING ERRCODE = 'restrict_violation';
  END $$;
  REVOKE ALL ON FUNCTION check_status_change() FROM PUBLIC;
  CREATE CONSTRAINT TRIGGER organizations_status_guarded AFTER UPDATE ON organizations
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.routing_hold IS DISTINCT FROM NEW.routing_hold)
    EXECUTE FUNCTION check_status_change();

  CREATE FUNCTION check_status_entry() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    last record;
  BEGIN
    SELECT a.new_value, (a.details ->> 'hold')::boolean AS hold INTO last FROM public.audit_log a
     WHERE a.org_id = NEW.org_id AND a.action LIKE 'subscription.%' ORDER BY a.seq DESC LIMIT 1;
    IF EXISTS (SELECT FROM public.organizations o
                WHERE o.id = NEW.org_id AND o.status = last.new_value AND o.routing_hold = last.hold) THEN
      RETURN NULL;
    END IF;
    RAISE EXCEPTION 'an entry of audit_log tells of a status that the organization does not have'
      USING ERRCODE = 'restrict_violation';
  END $$;
  REVOKE ALL ON FUNCTION check_status_entry() FROM PUBLIC;
  CREATE CONSTRAINT TRIGGER audit_log_tells_the_truth AFTER INSERT ON audit_log
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.action LIKE 'subscription.%')
    EXECUTE FUNCTION check_status_entry();
  CREATE INDEX audit_log_of_subscriptions ON audit_log (org_id, seq DESC) WHERE action LIKE 'subscription.%';
`;

/** Returns the number of the entry. The caller holds the row's lock and has decided; here it is only made true. */
const DOOR = `
  CREATE FUNCTION change_subscription(org uuid, event text, old_status text, new_status text, hold boolean,
                                      acted_at timestamptz, kind text, who text, why text, more jsonb)
    RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    entry bigint;
  BEGIN
    IF org IS DISTINCT FROM nullif(current_setting('shunt.org_id', true), '')::uuid THEN
      RAISE EXCEPTION 'another organization than that of the transaction' USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE public.organizations o
       SET status = new_status, routing_hold = hold,
           activated_at = CASE WHEN event = 'activate' THEN acted_at ELSE o.activated_at END
     WHERE o.id = org AND o.status = old_status;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'the organization is not in that status' USING ERRCODE = 'restrict_violation';
    END IF;
    INSERT INTO public.audit_log (org_id, at, actor_kind, actor, action, old_value, new_value, reason, details)
    VALUES (org, acted_at, kind, who, 'subscription.' || event, old_status, new_status, why,
            coalesce(more, '{}') || jsonb_build_object('hold', hold))
    RETURNING seq INTO entry;
    RETURN entry;
  END $$;
  REVOKE ALL ON FUNCTION
    change_subscription(uuid, text, text, text, boolean, timestamptz, text, text, text, jsonb) FROM PUBLIC;
`;

/** Returns whether it changed anything. Replicas learn of it as of any other change: by the counter and its channel. */
const GLOBAL_SWITCH = `
  CREATE FUNCTION set_global_routing(enabled boolean, acted_at timestamptz, kind text, who text, why text)
    RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    UPDATE public.tenancy_version SET routing_enabled = enabled, version = version + 1
     WHERE routing_enabled <> enabled;
    IF NOT FOUND THEN
      RETURN false;
    END IF;
    PERFORM set_config('shunt.org_id', '00000000-0000-0000-0000-000000000000', true);
    INSERT INTO public.audit_log (org_id, at, actor_kind, actor, action, old_value, new_value, reason)
    VALUES ('00000000-0000-0000-0000-000000000000', acted_at, kind, who, 'routing.switch',
            CASE WHEN enabled THEN 'off' ELSE 'on' END, CASE WHEN enabled THEN 'on' ELSE 'off' END, why);
    PERFORM pg_notify('shunt_tenancy', '');
    RETURN true;
  END $$;
  REVOKE ALL ON FUNCTION set_global_routing(boolean, timestamptz, text, text, text) FROM PUBLIC;
`;

const NEGOTIATED_PRICES_MAX = 1000;

/** As before, and with the hold. */
const FIND_PRINCIPAL = `
  DROP FUNCTION find_principal(bytea);
  CREATE FUNCTION find_principal(wanted_key_hash bytea)
    RETURNS TABLE (
      version bigint, api_key_id uuid, org_id uuid, project_id uuid,
      expires_at timestamptz, revoked_at timestamptz,
      status text, routing_hold boolean, retention_class text, requests_per_minute integer,
      org_providers text[], org_models text[], is_first boolean, hash_key_sealed bytea,
      project_disabled boolean, strict boolean, default_model text, body_limit_bytes integer,
      project_providers text[], project_models text[], allowed_paths text[],
      provider_keys jsonb, negotiated_prices jsonb
    )
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT c.version FROM public.tenancy_changes c WHERE c.org_id = k.org_id), 0),
           k.id, k.org_id, k.project_id, k.expires_at, k.revoked_at,
           o.status, o.routing_hold, o.retention_class, o.requests_per_minute,
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

const GRANTS = `
  GRANT EXECUTE ON FUNCTION find_principal(bytea) TO shunt_runtime;
  GRANT EXECUTE ON FUNCTION set_global_routing(boolean, timestamptz, text, text, text) TO shunt_runtime;
  GRANT EXECUTE ON FUNCTION
    change_subscription(uuid, text, text, text, boolean, timestamptz, text, text, text, jsonb) TO shunt_runtime;
`;
