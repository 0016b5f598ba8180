import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The one door to a subscription's status. The runtime has no right to write a status, a hold or an entry that tells
 * of one: it calls `change_subscription`, which changes and audits in one step. Behind that stand triggers that bind
 * everybody, the owner of the schema too. An entry is refused at once where it does not continue from the entry
 * before, or is no move of the table of transitions; and no transaction commits in which an organization's status
 * and hold are not those of its last entry. Together: whatever the status is, the trail tells each step to it.
 *
 * Both checks look at what is, not at what a statement did, so that it does not matter how often, in which order or
 * under which savepoint a transaction moves, or when it has its constraints checked.
 *
 * Also the global routing switch, under the same two rules, and what replicas read to follow both.
 */
export class Subscriptions1763700100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(COLUMNS);
    await runner.query(LEGAL);
    await runner.query(GUARD);
    await runner.query(DOOR);
    await runner.query(GLOBAL_SWITCH);
    await runner.query(FIND_PRINCIPAL);
    await runner.query(NOTE_ONCE);
    await runner.query(GRANTS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TRIGGER audit_log_switch_told ON audit_log;
      DROP TRIGGER tenancy_version_switch_told ON tenancy_version;
      DROP TRIGGER audit_log_status_told ON audit_log;
      DROP TRIGGER audit_log_moves_legally ON audit_log;
      DROP TRIGGER organizations_start_told ON organizations;
      DROP TRIGGER organizations_status_told ON organizations;
      DROP INDEX audit_log_of_switch, audit_log_of_subscriptions;
      DROP FUNCTION check_switch_told();
      DROP FUNCTION check_status_told();
      DROP FUNCTION check_status_entry();
      DROP FUNCTION change_subscription(uuid, text, text, text, boolean, timestamptz, text, text, text, jsonb);
      DROP FUNCTION is_legal_transition(text, text, text, boolean, text, boolean);
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

/**
 * domain/subscription/transitions.ts as the database knows it: every step from a status to a status, and what an
 * operator's hold allows and does. Tests hold the two against each other.
 */
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
  // The hold alone.
  ['kill', 'observing', 'observing'],
  ['kill', 'observation_ended', 'observation_ended'],
  ['kill', 'canceled', 'canceled'],
  ['kill', 'suspended', 'suspended'],
  ['release_hold', 'observing', 'observing'],
  ['release_hold', 'observation_ended', 'observation_ended'],
  ['release_hold', 'active', 'active'],
  ['release_hold', 'past_due', 'past_due'],
  ['release_hold', 'canceled', 'canceled'],
  ['release_hold', 'suspended', 'suspended'],
] as const;

/** Whose events they are, by the kind of actor. */
const LEGAL_ACTORS = [
  ['close_window', 'job'],
  ['activate', 'member'],
  ['deactivate', 'member'],
  ['cancel', 'member'],
  ['kill', 'operator'],
  ['kill', 'command'],
  ['release_hold', 'operator'],
  ['release_hold', 'command'],
  ['payment_past_due', 'billing'],
  ['payment_recovered', 'billing'],
  ['billing_canceled', 'billing'],
  ['suspend', 'operator'],
  ['suspend', 'command'],
  ['reinstate', 'operator'],
  ['reinstate', 'command'],
] as const;

const tuples = (list: readonly (readonly string[])[]): string =>
  list.map((tuple) => `('${tuple.join("', '")}')`).join(', ');

/** False, never null, whatever is missing. What changes nothing is no move. */
const LEGAL = `
  CREATE FUNCTION is_legal_transition(event text, kind text, old_status text, old_hold boolean,
                                      new_status text, new_hold boolean) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT num_nulls(event, kind, old_status, old_hold, new_status, new_hold) = 0
      AND (event, kind) IN (${tuples(LEGAL_ACTORS)})
      AND (event, old_status, new_status) IN (${tuples(LEGAL_TRANSITIONS)})
      AND (old_status <> new_status OR old_hold <> new_hold)
      AND CASE event WHEN 'kill' THEN new_hold
                     WHEN 'release_hold' THEN NOT new_hold
                     WHEN 'activate' THEN NOT old_hold AND NOT new_hold
                     ELSE old_hold = new_hold END
  $$;
  REVOKE ALL ON FUNCTION is_legal_transition(text, text, text, boolean, text, boolean) FROM PUBLIC;
`;

/**
 * Entries of a changed status or hold have the action `subscription.<event>`, the old and the new status as values,
 * and the hold in the details, true or false. An organization begins as observing, without a hold.
 */
const GUARD = `
  CREATE INDEX audit_log_of_subscriptions ON audit_log (org_id, seq DESC) WHERE action LIKE 'subscription.%';

  CREATE FUNCTION check_status_entry() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    status_before text := 'observing';
    hold_before jsonb := 'false';
    before record;
  BEGIN
    SELECT a.new_value AS status, a.details -> 'hold' AS hold INTO before FROM public.audit_log a
     WHERE a.org_id = NEW.org_id AND a.action LIKE 'subscription.%' AND a.seq < NEW.seq
     ORDER BY a.seq DESC LIMIT 1;
    IF FOUND THEN
      status_before := before.status;
      hold_before := before.hold;
    END IF;
    IF NEW.old_value = status_before AND jsonb_typeof(NEW.details -> 'hold') = 'boolean'
       AND public.is_legal_transition(substr(NEW.action, length('subscription.') + 1), NEW.actor_kind,
             status_before, hold_before::boolean, NEW.new_value, (NEW.details -> 'hold')::boolean) THEN
      RETURN NULL;
    END IF;
    RAISE EXCEPTION 'not a legal move of the subscription from where it stands'
      USING ERRCODE = 'restrict_violation';
  END $$;
  REVOKE ALL ON FUNCTION check_status_entry() FROM PUBLIC;
  CREATE TRIGGER audit_log_moves_legally AFTER INSERT ON audit_log
    FOR EACH ROW WHEN (NEW.action LIKE 'subscription.%') EXECUTE FUNCTION check_status_entry();

  CREATE FUNCTION check_status_told() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    changed jsonb := to_jsonb(NEW);
    org uuid := (changed ->> CASE WHEN TG_TABLE_NAME = 'organizations' THEN 'id' ELSE 'org_id' END)::uuid;
    stands record;
    told record;
  BEGIN
    SELECT o.status, o.routing_hold AS hold INTO stands FROM public.organizations o WHERE o.id = org;
    IF NOT FOUND AND TG_TABLE_NAME = 'organizations' THEN
      RETURN NULL;
    END IF;
    SELECT a.new_value AS status, (a.details -> 'hold')::boolean AS hold INTO told FROM public.audit_log a
     WHERE a.org_id = org AND a.action LIKE 'subscription.%' ORDER BY a.seq DESC LIMIT 1;
    IF NOT FOUND THEN
      SELECT 'observing' AS status, false AS hold INTO told;
    END IF;
    IF stands.status = told.status AND stands.hold = told.hold THEN
      RETURN NULL;
    END IF;
    RAISE EXCEPTION 'a status or hold of an organization changes only together with its entry in audit_log'
      USING ERRCODE = 'restrict_violation';
  END $$;
  REVOKE ALL ON FUNCTION check_status_told() FROM PUBLIC;
  CREATE CONSTRAINT TRIGGER organizations_start_told AFTER INSERT ON organizations
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_status_told();
  CREATE CONSTRAINT TRIGGER organizations_status_told AFTER UPDATE ON organizations
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.id <> NEW.id OR OLD.status <> NEW.status OR OLD.routing_hold <> NEW.routing_hold)
    EXECUTE FUNCTION check_status_told();
  CREATE CONSTRAINT TRIGGER audit_log_status_told AFTER INSERT ON audit_log
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.action LIKE 'subscription.%')
    EXECUTE FUNCTION check_status_told();
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

/**
 * Returns whether it changed anything. Replicas learn of it as of any other change: by the counter and its channel.
 * The chain's head is locked before the counter, as in every other transaction, whose counter moves at its commit:
 * the switch must not be what a deadlock picks.
 */
const GLOBAL_SWITCH = `
  CREATE FUNCTION set_global_routing(enabled boolean, acted_at timestamptz, kind text, who text, why text)
    RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    installation constant uuid := '00000000-0000-0000-0000-000000000000';
    scope constant text := current_setting('shunt.org_id', true);
  BEGIN
    IF kind NOT IN ('operator', 'command') THEN
      RAISE EXCEPTION 'only people at the controls switch routing' USING ERRCODE = 'restrict_violation';
    END IF;
    INSERT INTO public.audit_heads (org_id, seq, hash) VALUES (installation, 0, decode(repeat('00', 32), 'hex'))
      ON CONFLICT (org_id) DO NOTHING;
    PERFORM FROM public.audit_heads h WHERE h.org_id = installation FOR UPDATE;
    IF (SELECT v.routing_enabled FROM public.tenancy_version v) IS NOT DISTINCT FROM enabled THEN
      RETURN false;
    END IF;
    PERFORM set_config('shunt.org_id', installation::text, true);
    INSERT INTO public.audit_log (org_id, at, actor_kind, actor, action, old_value, new_value, reason)
    VALUES (installation, acted_at, kind, who, 'routing.switch',
            CASE WHEN enabled THEN 'off' ELSE 'on' END, CASE WHEN enabled THEN 'on' ELSE 'off' END, why);
    UPDATE public.tenancy_version SET routing_enabled = enabled, version = version + 1;
    PERFORM pg_notify('shunt_tenancy', '');
    -- The caller's transaction goes on in the organization that it is scoped to.
    PERFORM set_config('shunt.org_id', coalesce(scope, ''), true);
    RETURN true;
  END $$;
  REVOKE ALL ON FUNCTION set_global_routing(boolean, timestamptz, text, text, text) FROM PUBLIC;

  CREATE INDEX audit_log_of_switch ON audit_log (org_id, seq DESC) WHERE action = 'routing.switch';
  CREATE FUNCTION check_switch_told() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    installation constant uuid := '00000000-0000-0000-0000-000000000000';
    told boolean := true;
  BEGIN
    SELECT a.new_value = 'on' INTO told FROM public.audit_log a
     WHERE a.org_id = installation AND a.action = 'routing.switch' ORDER BY a.seq DESC LIMIT 1;
    IF coalesce(told, true) IS DISTINCT FROM (SELECT v.routing_enabled FROM public.tenancy_version v)
       OR (to_jsonb(NEW) ->> 'org_id')::uuid <> installation THEN
      RAISE EXCEPTION 'the global switch changes only together with its entry in audit_log'
        USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
  END $$;
  REVOKE ALL ON FUNCTION check_switch_told() FROM PUBLIC;
  CREATE CONSTRAINT TRIGGER tenancy_version_switch_told AFTER UPDATE ON tenancy_version
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.routing_enabled <> NEW.routing_enabled)
    EXECUTE FUNCTION check_switch_told();
  CREATE CONSTRAINT TRIGGER audit_log_switch_told AFTER INSERT ON audit_log
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.action = 'routing.switch')
    EXECUTE FUNCTION check_switch_told();
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

/**
 * As before, but once per transaction and organization: the counter's row is everybody's, and thousands of bumps of it
 * at one commit (each key of an organization that is erased) made a neighbour's kill switch wait for seconds.
 */
const NOTE_ONCE = `
  CREATE OR REPLACE FUNCTION note_tenancy_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    changed jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
    org uuid := (changed ->> CASE WHEN TG_TABLE_NAME = 'organizations' THEN 'id' ELSE 'org_id' END)::uuid;
    bumped bigint;
  BEGIN
    -- The triggers are deferred: when the first of them runs, all that the transaction changed is there.
    PERFORM FROM public.tenancy_changes c WHERE c.org_id = org AND c.xmin = pg_current_xact_id()::xid;
    IF FOUND THEN
      RETURN NULL;
    END IF;
    UPDATE public.tenancy_version SET version = version + 1 RETURNING version INTO bumped;
    INSERT INTO public.tenancy_changes (org_id, version) VALUES (org, bumped)
      ON CONFLICT (org_id) DO UPDATE SET version = excluded.version;
    PERFORM pg_notify('shunt_tenancy', org::text);
    RETURN NULL;
  END $$;
`;

const GRANTS = `
  GRANT EXECUTE ON FUNCTION find_principal(bytea) TO shunt_runtime;
  GRANT EXECUTE ON FUNCTION set_global_routing(boolean, timestamptz, text, text, text) TO shunt_runtime;
  GRANT EXECUTE ON FUNCTION
    change_subscription(uuid, text, text, text, boolean, timestamptz, text, text, text, jsonb) TO shunt_runtime;
`;
