import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Mail that is to be sent: written in the transaction of what it tells of, sent afterwards. One row per message and
 * recipient. A row is never sent twice: it is claimed before the first byte goes out, and a claim whose end nobody
 * saw stays `unconfirmed`, for a person to look at.
 *
 * Mail of no organization (a forgotten password) has the nil UUID, hence no foreign key. What names an address or
 * opens something is sealed, and gone once the mail is sent.
 *
 * A finished row is deleted 30 days later by a function that can delete nothing else: the runtime has no DELETE.
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
          CHECK (state IN ('pending', 'sending', 'sent', 'unconfirmed', 'failed', 'undeliverable', 'skipped')),
        attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        next_attempt_at timestamptz NOT NULL,
        -- Nobody wants to read it later than this: it is given up and not sent.
        expires_at timestamptz NOT NULL,
        claimed_at timestamptz,
        -- Whose claim it was last: what a sender learns too late is not written over a newer claim.
        claim_id uuid,
        -- A class of failure, never what a server said.
        last_error text CHECK (last_error ~ '^[A-Za-z0-9_]{1,60}$'),
        created_at timestamptz NOT NULL,
        sent_at timestamptz,
        PRIMARY KEY (org_id, id),
        UNIQUE (org_id, dedupe_key),
        CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
        CHECK (state <> 'sent' OR sealed IS NULL),
        CHECK ((state = 'sending') = (claimed_at IS NOT NULL))
      );
      CREATE INDEX outbox_due ON outbox (next_attempt_at) WHERE state IN ('pending', 'sending');
      CREATE INDEX outbox_by_organization ON outbox (org_id, created_at, id);
      CREATE INDEX outbox_finished ON outbox (coalesce(sent_at, created_at)) WHERE state <> 'sending';

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

      -- How much waits, and since when: figures over all organizations, and nothing of any.
      CREATE FUNCTION mail_backlog() RETURNS TABLE (waiting bigint, oldest timestamptz)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        SELECT count(*), min(created_at) FROM public.outbox WHERE state IN ('pending', 'sending')
      $$;
      REVOKE ALL ON FUNCTION mail_backlog() FROM PUBLIC;
      GRANT EXECUTE ON FUNCTION mail_backlog() TO shunt_runtime;

      -- What is finished, and what waited until nobody would send it any more. A caller cannot shorten the 30 days.
      CREATE POLICY owner_sweeps ON outbox FOR DELETE TO CURRENT_USER USING (state <> 'sending');
      CREATE FUNCTION delete_finished_mail(as_of timestamptz, at_most integer) RETURNS integer
        LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        WITH doomed AS (
          SELECT org_id, id FROM public.outbox
           WHERE state <> 'sending' AND coalesce(sent_at, created_at) < least(as_of, now()) - interval '30 days'
             AND (state <> 'pending' OR expires_at < least(as_of, now()) - interval '30 days')
           ORDER BY coalesce(sent_at, created_at) LIMIT least(at_most, 10000)
        ), gone AS (
          DELETE FROM public.outbox o USING doomed d WHERE o.org_id = d.org_id AND o.id = d.id RETURNING 1
        )
        SELECT count(*)::integer FROM gone
      $$;
      REVOKE ALL ON FUNCTION delete_finished_mail(timestamptz, integer) FROM PUBLIC;
      GRANT EXECUTE ON FUNCTION delete_finished_mail(timestamptz, integer) TO shunt_runtime;

      GRANT SELECT, INSERT ON outbox TO shunt_runtime;
      GRANT UPDATE (state, attempts, next_attempt_at, expires_at, claimed_at, claim_id, last_error, sent_at, sealed)
        ON outbox TO shunt_runtime;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP FUNCTION delete_finished_mail(timestamptz, integer);
      DROP FUNCTION mail_backlog();
      DROP FUNCTION organizations_with_due_mail(timestamptz, timestamptz, integer);
      DROP TABLE outbox;
    `);
  }
}
