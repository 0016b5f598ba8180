import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What people sign in with: sessions, second factors, one-time tokens, invitations. Of everything that opens
 * something only a hash is stored; what must be read again (a TOTP secret, the address of somebody invited) is
 * sealed.
 *
 * Not tenant tables, and why: `sessions`, `one_time_tokens` and `recovery_codes` belong to a person, who may be in
 * several organizations. Invitations are an organization's; their token names it, so that no look-up goes across.
 */
export class Accounts1763700300000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(PEOPLE);
    await runner.query(INVITATIONS);
    await runner.query(SETTINGS);
    await runner.query(GRANTS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP FUNCTION organizations_with_expired_invitations(timestamptz, integer);
      DROP TABLE invitations, recovery_codes, one_time_tokens, sessions;
      ALTER TABLE organizations DROP COLUMN require_totp;
      ALTER TABLE memberships DROP COLUMN reminders;
      ALTER TABLE users DROP COLUMN totp_secret_sealed, DROP COLUMN totp_last_step, DROP COLUMN totp_enabled_at;
    `);
  }
}

const PEOPLE = `
  ALTER TABLE users
    -- Present and not enabled: somebody began to set it up.
    ADD COLUMN totp_secret_sealed bytea,
    -- The step of the last code that was taken: a code works once.
    ADD COLUMN totp_last_step bigint NOT NULL DEFAULT 0,
    ADD COLUMN totp_enabled_at timestamptz,
    ADD CHECK (totp_enabled_at IS NULL OR totp_secret_sealed IS NOT NULL);

  CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- Which organization the person looks at; no right follows from it.
    current_org_id uuid,
    -- "Firefox on Linux": enough to tell one's own sessions apart, too little to follow anybody.
    client text NOT NULL CHECK (length(client) <= 60)
  );
  CREATE INDEX sessions_by_user ON sessions (user_id);
  CREATE INDEX sessions_by_expiry ON sessions (expires_at);

  CREATE TABLE one_time_tokens (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    user_id uuid NOT NULL REFERENCES users (id),
    purpose text NOT NULL CHECK (purpose = 'password_reset'),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
  );
  CREATE INDEX one_time_tokens_by_user ON one_time_tokens (user_id);
  CREATE INDEX one_time_tokens_by_expiry ON one_time_tokens (expires_at);

  CREATE TABLE recovery_codes (
    user_id uuid NOT NULL REFERENCES users (id),
    code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    PRIMARY KEY (user_id, code_hash)
  );
`;

const INVITATIONS = `
  CREATE TABLE invitations (
    org_id uuid NOT NULL REFERENCES organizations (id),
    id uuid NOT NULL,
    token_hash bytea NOT NULL CHECK (octet_length(token_hash) = 32),
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    address_sealed bytea NOT NULL,
    invited_by uuid NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- Accepted or withdrawn. The row stays until it would have expired: how many are sent in a day is bounded.
    closed_at timestamptz,
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, token_hash)
  );
  CREATE INDEX invitations_by_expiry ON invitations (expires_at);
  ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
  ALTER TABLE invitations FORCE ROW LEVEL SECURITY;
  CREATE POLICY tenant ON invitations
    USING (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid)
    WITH CHECK (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid);

  -- Who clears away must know where there is something to clear; it then works within each organization.
  CREATE POLICY owner_reads ON invitations FOR SELECT TO CURRENT_USER USING (true);
  CREATE FUNCTION organizations_with_expired_invitations(as_of timestamptz, at_most integer)
    RETURNS SETOF uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT org_id FROM public.invitations WHERE expires_at <= as_of LIMIT least(at_most, 1000)
  $$;
  REVOKE ALL ON FUNCTION organizations_with_expired_invitations(timestamptz, integer) FROM PUBLIC;
`;

const SETTINGS = `
  -- Whether this person gets the organization's reminders; what must be known is mailed anyway.
  ALTER TABLE memberships ADD COLUMN reminders boolean NOT NULL DEFAULT true;
  -- Members without a second factor see their own account and nothing of the organization.
  ALTER TABLE organizations ADD COLUMN require_totp boolean NOT NULL DEFAULT false;
`;

const GRANTS = `
  GRANT UPDATE (totp_secret_sealed, totp_last_step, totp_enabled_at) ON users TO shunt_runtime;
  GRANT UPDATE (reminders) ON memberships TO shunt_runtime;
  GRANT UPDATE (require_totp) ON organizations TO shunt_runtime;
  GRANT SELECT, INSERT, DELETE ON sessions TO shunt_runtime;
  GRANT UPDATE (last_seen_at, current_org_id) ON sessions TO shunt_runtime;
  GRANT SELECT, INSERT, DELETE ON one_time_tokens TO shunt_runtime;
  GRANT SELECT, INSERT, DELETE ON recovery_codes TO shunt_runtime;
  GRANT SELECT, INSERT, DELETE ON invitations TO shunt_runtime;
  GRANT UPDATE (closed_at) ON invitations TO shunt_runtime;
  GRANT EXECUTE ON FUNCTION organizations_with_expired_invitations(timestamptz, integer) TO shunt_runtime;
`;
