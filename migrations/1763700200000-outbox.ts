import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Mail that is to be sent: written in the transaction of what it tells of, sent afterwards. One row per message and
 * recipient. A row is never sent twice: it is claimed before the first byte goes out, and a claim whose end nobody
 * saw stays `unconfirmed`, for a person to look at.
 *
 * Mail of no organization (a forgotten password) has the nil UUID, hence no foreign key. What names an address or
 * opens something is sealed, and gone once the mail is sent.
 */
export class Outbox1763700200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE outbox (
        org_id uuid NOT NULL,
        id uuid NOT NULL,
        kind text NOT NULL CHECK (kind ~ '^[a-z_]{1,40}$'),
        -- The same message to the same person is enqueued once, however often a step runs.
        dedupe_key text NOT NULL CHECK (length(dedupe_key) BETWEEN 1 AND 200),
        -- Whose address is looked up when the mail is sent; null where the sealed part names it, or nobody does.
        recipient_user_id uuid,
        data jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(data) = 'object'),
        sealed bytea,
        state text NOT NULL DEFAULT 'pending'
          CHECK (state IN ('pending', 'sending', 'sent', 'unconfirmed', 'failed', 'undeliverable')),
        attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        next_attempt_at timestamptz NOT NULL,
        claimed_at timestamptz,
        -- A class of failure, never what a server said.
        last_error text CHECK (last_error ~ '^[A-Za-z0-9_]{1,60}$'),
        created_at timestamptz NOT NULL,
        sent_at timestamptz,
        PRIMARY KEY (org_id, id),
        UNIQUE (org_id, dedupe_key),
        CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
        CHECK ((state = 'sending') = (claimed_at IS NOT NULL))
      );
      CREATE INDEX outbox_due ON outbox (next_attempt_at) WHERE state IN ('pending', 'sending');

      ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
      ALTER TABLE outbox FORCE ROW LEVEL SECURITY;
      CREATE POLICY tenant ON outbox
        USING (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid)
        WITH CHECK (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid);
      -- The job that sends must know whose rows are due; it then works within each organization.
      CREATE POLICY owner_reads ON outbox FOR SELECT TO CURRENT_USER USING (true);
      CREATE FUNCTION organizations_with_due_mail(as_of timestamptz, stale_before timestamptz, at_most integer)
        RETURNS SETOF uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        SELECT org_id FROM public.outbox
         WHERE (state = 'pending' AND next_attempt_at <= as_of) OR (state = 'sending' AND claimed_at < stale_before)
         GROUP BY org_id ORDER BY min(next_attempt_at) LIMIT least(at_most, 1000)
      $$;
      REVOKE ALL ON FUNCTION organizations_with_due_mail(timestamptz, timestamptz, integer) FROM PUBLIC;
      GRANT EXECUTE ON FUNCTION organizations_with_due_mail(timestamptz, timestamptz, integer) TO shunt_runtime;

      GRANT SELECT, INSERT ON outbox TO shunt_runtime;
      GRANT UPDATE (state, attempts, next_attempt_at, claimed_at, last_error, sent_at, sealed) ON outbox TO shunt_runtime;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP FUNCTION organizations_with_due_mail(timestamptz, timestamptz, integer);
      DROP TABLE outbox;
    `);
  }
}
