import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The audit trail: who did what, when, to which organization. Entries are only ever added, and each carries the
 * hash of the one before it, so that a changed, removed or swapped entry shows. The database links them, in the
 * transaction that adds them: no writer can add an entry beside the chain, and there is no unsealed tail.
 *
 * The installation's own entries (operators' logins, the global switch) have the nil UUID for an organization.
 * Rows outlive their organization, hence no foreign key; they hold ids, never an address or a key.
 */
export class AuditLog1763700000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLES);
    await runner.query(ISOLATION);
    await runner.query(LINK);
    await runner.query(GRANTS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TABLE audit_log, audit_heads;
      DROP FUNCTION link_audit_entry();
      DROP FUNCTION check_audit_head();
      DROP FUNCTION audit_field(text);
    `);
  }
}

const TABLES = `
  CREATE TABLE audit_log (
    org_id uuid NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    -- The clock of whoever wrote it; the order of entries is their number's.
    at timestamptz NOT NULL CHECK (at >= '1970-01-01T00:00:00Z' AND at < '9999-01-01T00:00:00Z'),
    actor_kind text NOT NULL CHECK (actor_kind IN ('member', 'operator', 'command', 'job', 'billing', 'system')),
    actor text NOT NULL CHECK (length(actor) BETWEEN 1 AND 200),
    action text NOT NULL CHECK (action ~ '^[a-z_]{1,40}[.][a-z_]{1,40}$'),
    -- The id of what was acted on, where it is not the organization.
    subject text CHECK (length(subject) BETWEEN 1 AND 200),
    old_value text CHECK (length(old_value) <= 500),
    new_value text CHECK (length(new_value) <= 500),
    reason text CHECK (length(reason) BETWEEN 1 AND 1000),
    details jsonb NOT NULL DEFAULT '{}'
      CHECK (jsonb_typeof(details) = 'object' AND octet_length(details::text) <= 8192),
    -- What follows is the database's: no writer gives it.
    prev_hash bytea NOT NULL CHECK (octet_length(prev_hash) = 32),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (org_id, seq)
  );

  -- The last entry of each chain; the row is locked while a transaction adds to it.
  CREATE TABLE audit_heads (
    org_id uuid PRIMARY KEY,
    seq bigint NOT NULL,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
  );

  CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

  CREATE FUNCTION check_audit_head() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    IF TG_OP = 'INSERT' THEN
      IF NEW.seq = 0 AND NEW.hash = decode(repeat('00', 32), 'hex') THEN RETURN NEW; END IF;
    ELSIF NEW.org_id = OLD.org_id AND NEW.seq = OLD.seq + 1 THEN
      RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the head of a chain moves by one entry at a time' USING ERRCODE = 'restrict_violation';
  END $$;
  CREATE TRIGGER audit_heads_forward BEFORE INSERT OR UPDATE ON audit_heads
    FOR EACH ROW EXECUTE FUNCTION check_audit_head();
  CREATE TRIGGER audit_heads_kept BEFORE DELETE OR TRUNCATE ON audit_heads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
`;

const OF_THIS_TRANSACTION = `org_id = nullif(current_setting('shunt.org_id', true), '')::uuid`;

/**
 * Entries of a subscription's moves and of the global switch are written by the functions that change these, which
 * run as the owner: the runtime adds none of them itself, not even a true one. Heads are read across organizations
 * by whoever verifies all chains; those of an organization that is gone have no other list.
 */
const ISOLATION = `
  ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
  ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;
  CREATE POLICY tenant ON audit_log USING (${OF_THIS_TRANSACTION})
    WITH CHECK (${OF_THIS_TRANSACTION} AND action NOT LIKE 'subscription.%' AND action <> 'routing.switch');
  CREATE POLICY owner_reads ON audit_log FOR SELECT TO CURRENT_USER USING (true);
  CREATE POLICY owner_adds ON audit_log FOR INSERT TO CURRENT_USER WITH CHECK (${OF_THIS_TRANSACTION});

  ALTER TABLE audit_heads ENABLE ROW LEVEL SECURITY;
  ALTER TABLE audit_heads FORCE ROW LEVEL SECURITY;
  CREATE POLICY tenant ON audit_heads USING (${OF_THIS_TRANSACTION}) WITH CHECK (${OF_THIS_TRANSACTION});
  CREATE POLICY owner_links ON audit_heads TO CURRENT_USER USING (true) WITH CHECK (true);
  CREATE POLICY directory ON audit_heads FOR SELECT
    USING (current_setting('shunt.scope', true) = 'directory');
`;

/**
 * The encoding (modules/audit/audit-encoding.ts is its other reader): each field as its length in bytes, a colon,
 * its UTF-8 text and a comma; an absent one as a minus sign and a comma. The hash is the SHA-256 of all of them.
 */
const LINK = `
  CREATE FUNCTION audit_field(value text) RETURNS text LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN value IS NULL THEN '-,'
                ELSE octet_length(convert_to(value, 'UTF8'))::text || ':' || value || ',' END
  $$;
  REVOKE ALL ON FUNCTION audit_field(text) FROM PUBLIC;

  CREATE FUNCTION link_audit_entry() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
  DECLARE
    head record;
  BEGIN
    SELECT h.seq, h.hash INTO head FROM public.audit_heads h WHERE h.org_id = NEW.org_id FOR UPDATE;
    IF NOT FOUND THEN
      INSERT INTO public.audit_heads (org_id, seq, hash) VALUES (NEW.org_id, 0, decode(repeat('00', 32), 'hex'))
        ON CONFLICT (org_id) DO NOTHING;
      SELECT h.seq, h.hash INTO STRICT head FROM public.audit_heads h WHERE h.org_id = NEW.org_id FOR UPDATE;
    END IF;
    NEW.seq := head.seq + 1;
    NEW.prev_hash := head.hash;
    NEW.at := date_trunc('milliseconds', NEW.at);
    NEW.hash := sha256(convert_to(
      public.audit_field('shunt-audit-1') || public.audit_field(encode(NEW.prev_hash, 'hex'))
      || public.audit_field(NEW.org_id::text) || public.audit_field(NEW.seq::text)
      || public.audit_field(to_char(NEW.at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
      || public.audit_field(NEW.actor_kind) || public.audit_field(NEW.actor) || public.audit_field(NEW.action)
      || public.audit_field(NEW.subject) || public.audit_field(NEW.old_value) || public.audit_field(NEW.new_value)
      || public.audit_field(NEW.reason) || public.audit_field(NEW.details::text), 'UTF8'));
    UPDATE public.audit_heads SET seq = NEW.seq, hash = NEW.hash WHERE org_id = NEW.org_id;
    RETURN NEW;
  END $$;
  REVOKE ALL ON FUNCTION link_audit_entry() FROM PUBLIC;
  CREATE TRIGGER audit_log_linked BEFORE INSERT ON audit_log
    FOR EACH ROW EXECUTE FUNCTION link_audit_entry();
`;

const GRANTS = `
  GRANT SELECT ON audit_log, audit_heads TO shunt_runtime;
  GRANT INSERT (org_id, at, actor_kind, actor, action, subject, old_value, new_value, reason, details)
    ON audit_log TO shunt_runtime;
`;
