import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * An organization that leaves. Its owner asks; after seven days, which the database itself counts, it may be erased:
 * in one step its name, its hash key and its people, with which every key of it is refused and every hash in any copy
 * of its records is meaningless; then, in small transactions, its rows. What is erased is everything but a named list:
 * a table that is added later is erased without anybody remembering to. What stays is what must go on verifying, the
 * trail and its head, and the empty organization; they hold ids and no names.
 *
 * Small, because each row that replicas follow moves the one counter of all organizations when its transaction
 * commits: the kill switch of another organization would wait behind a large one.
 */
export class Leaving1763700800000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE organizations
        ADD COLUMN deletion_due_at timestamptz,
        ADD COLUMN erased_at timestamptz,
        ADD CONSTRAINT erased_after_due CHECK (erased_at IS NULL OR deletion_due_at IS NOT NULL);
    `);
    await runner.query(REQUEST);
    await runner.query(ERASE);
    await runner.query(ERASE_ROWS);
    await runner.query(ERASE_RECORDS);
    await runner.query(DUE);
    await runner.query(GRANTS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP FUNCTION ${SIGNATURES.join(', ')};
      ALTER TABLE organizations DROP COLUMN deletion_due_at, DROP COLUMN erased_at;
    `);
  }
}

const SIGNATURES = [
  'request_organization_deletion(uuid)',
  'withdraw_organization_deletion(uuid)',
  'erase_organization(uuid)',
  'erase_organization_rows(uuid, integer)',
  'erase_organization_records(uuid, integer)',
  'organizations_to_erase(integer)',
] as const;

const GRACE_DAYS = 7;
/**
 * What was under way at the erasure may add rows after it: calls, spools of replicas that come back, a delivery of the
 * payment provider. Also how long the jobs may be down in the middle of an erasure.
 */
const LATE_ROWS_DAYS = 30;
const NOBODY = "'00000000-0000-0000-0000-000000000000'";

/** What outlives an organization; the ledger's tables are named for when they exist. */
const KEPT = [
  'audit_log',
  'audit_heads',
  'tenancy_changes',
  'savings_ledger',
  'ledger_heads',
  'seals',
  // Erased by a function of its own: there may be millions of them.
  'request_log',
];

const ASSERT_SCOPE = `
    IF org IS DISTINCT FROM nullif(current_setting('shunt.org_id', true), '')::uuid THEN
      RAISE EXCEPTION 'another organization than that of the transaction' USING ERRCODE = 'insufficient_privilege';
    END IF;`;

/** Both return the time of the erasure; asked again, the first time stands. */
const REQUEST = `
  CREATE FUNCTION request_organization_deletion(org uuid) RETURNS timestamptz
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    due timestamptz;
  BEGIN ${ASSERT_SCOPE}
    UPDATE public.organizations
       SET deletion_due_at = coalesce(deletion_due_at, now() + interval '${GRACE_DAYS} days')
     WHERE id = org RETURNING deletion_due_at INTO due;
    RETURN due;
  END $$;

  CREATE FUNCTION withdraw_organization_deletion(org uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN ${ASSERT_SCOPE}
    UPDATE public.organizations SET deletion_due_at = NULL
     WHERE id = org AND deletion_due_at IS NOT NULL AND erased_at IS NULL;
    RETURN FOUND;
  END $$;
`;

/**
 * What names or opens anything, in one transaction; false where it is not due, or done before. People who belong to no
 * other organization go with it, and the mail that is on its way to them.
 */
const ERASE = `
  CREATE FUNCTION erase_organization(org uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    person uuid;
    people uuid[] := '{}';
    statement text;
  BEGIN ${ASSERT_SCOPE}
    PERFORM FROM public.organizations WHERE id = org AND deletion_due_at <= now() AND erased_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
      RETURN false;
    END IF;
    FOR person IN SELECT user_id FROM public.memberships WHERE org_id = org LOOP
      -- As at sign-in: a person's own memberships, and nobody else's.
      PERFORM set_config('shunt.user_id', person::text, true);
      IF NOT EXISTS (SELECT FROM public.memberships WHERE user_id = person AND org_id <> org) THEN
        people := people || person;
      END IF;
    END LOOP;
    PERFORM set_config('shunt.user_id', '', true);
    DELETE FROM public.memberships WHERE org_id = org;
    FOR statement IN
      SELECT format('DELETE FROM %s WHERE %I = ANY ($1)', con.conrelid::regclass, a.attname)
        FROM pg_constraint con JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = con.conkey[1]
       WHERE con.contype = 'f' AND con.confrelid = 'public.users'::regclass AND cardinality(con.conkey) = 1
    LOOP
      EXECUTE statement USING people;
    END LOOP;
    DELETE FROM public.outbox WHERE org_id = ${NOBODY} AND recipient_user_id = ANY (people);
    DELETE FROM public.users WHERE id = ANY (people);

    UPDATE public.organizations
       SET name = 'Erased organization', hash_key_sealed = NULL, allowed_providers = NULL, allowed_models = NULL,
           requests_per_minute = NULL, is_first = false, erased_at = now()
     WHERE id = org;
    RETURN true;
  END $$;
`;

/**
 * Everything of an erased organization but its records, at most so many rows; call it until it returns 0. Tables are
 * emptied in the order that their foreign keys ask for: one that is still referred to is tried again after the others.
 * Newest rows go first, as rows refer to older ones of their own table; one that does not keep to that is emptied at
 * once. Events of the payment provider that wait for the organization are nobody's, and go too.
 */
const ERASE_ROWS = `
  CREATE FUNCTION erase_organization_rows(org uuid, at_most integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    wanted constant integer := least(at_most, 1000);
    held text[] := '{}';
    candidate record;
    erased integer := 0;
    gone integer;
  BEGIN ${ASSERT_SCOPE}
    PERFORM FROM public.organizations WHERE id = org AND erased_at IS NOT NULL;
    IF NOT FOUND THEN
      RETURN 0;
    END IF;
    DELETE FROM public.billing_inbox i
     WHERE i.org_id = ${NOBODY}
       AND (i.claimed_org_id = org OR i.subscription_id IN (
             SELECT s.subscription_id FROM public.billing_subscriptions s WHERE s.org_id = org));
    GET DIAGNOSTICS erased = ROW_COUNT;
    -- A key that is checked at the commit only would fail there, where nobody tries the other tables first.
    FOR candidate IN
      SELECT con.conname FROM pg_constraint con
       WHERE con.contype = 'f' AND con.condeferrable AND con.connamespace = 'public'::regnamespace
    LOOP
      EXECUTE format('SET CONSTRAINTS public.%I IMMEDIATE', candidate.conname);
    END LOOP;
    FOR attempt IN 1..2 LOOP
      FOR candidate IN
        SELECT c.relname AS name,
               CASE WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'created_at')
                    THEN 'ORDER BY created_at DESC' ELSE '' END AS newest_first
          FROM pg_class c JOIN pg_attribute o ON o.attrelid = c.oid AND o.attname = 'org_id' AND NOT o.attisdropped
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND c.relname NOT IN ('${KEPT.join("', '")}') AND (attempt = 1 OR c.relname = ANY (held))
         ORDER BY c.relname
      LOOP
        EXIT WHEN erased >= wanted;
        BEGIN
          EXECUTE format('DELETE FROM public.%1$I WHERE org_id = $1 AND ctid = ANY (ARRAY(
                            SELECT ctid FROM public.%1$I WHERE org_id = $1 %2$s LIMIT $2))',
                         candidate.name, candidate.newest_first)
            USING org, CASE attempt WHEN 1 THEN wanted - erased END;
          GET DIAGNOSTICS gone = ROW_COUNT;
          erased := erased + gone;
        EXCEPTION WHEN foreign_key_violation THEN
          held := held || candidate.name::text;
        END;
      END LOOP;
      EXIT WHEN erased > 0 OR cardinality(held) = 0;
    END LOOP;
    IF erased = 0 AND cardinality(held) > 0 THEN
      RAISE EXCEPTION 'tables that refer to each other: %', held USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN erased;
  END $$;
`;

/**
 * Returns how many it erased, the oldest first: call it until that is 0. Only of an organization that is erased. By
 * their time and not by their keys, which are no more than one look-up for the planner among millions of rows; as text,
 * so that it plans with the values.
 */
const ERASE_RECORDS = `
  CREATE FUNCTION erase_organization_records(org uuid, at_most integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    newest timestamptz;
    erased integer;
  BEGIN ${ASSERT_SCOPE}
    PERFORM FROM public.organizations WHERE id = org AND erased_at IS NOT NULL;
    IF NOT FOUND THEN
      RETURN 0;
    END IF;
    EXECUTE format('SELECT max(started_at) FROM (
                      SELECT started_at FROM public.request_log WHERE org_id = %L ORDER BY started_at LIMIT %s) AS oldest',
                   org, least(at_most, 10000)) INTO newest;
    EXECUTE format('DELETE FROM public.request_log WHERE org_id = %L AND started_at <= %L', org, newest);
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
  END $$;
`;

/** Those that are due, then those that late rows may come for: in any order, so that none of these waits for the others. */
const DUE = `
  CREATE FUNCTION organizations_to_erase(at_most integer) RETURNS SETOF uuid
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT id FROM public.organizations
     WHERE deletion_due_at <= now()
       AND (erased_at IS NULL OR erased_at > now() - interval '${LATE_ROWS_DAYS} days')
     ORDER BY erased_at IS NOT NULL, random() LIMIT least(at_most, 1000)
  $$;
`;

const GRANTS = SIGNATURES.map(
  (signature) => `
  REVOKE ALL ON FUNCTION ${signature} FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION ${signature} TO shunt_runtime;`,
).join('');
