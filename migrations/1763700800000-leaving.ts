import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * An organization that leaves. Its owner asks; after seven days, which the database itself counts, its rows may be
 * erased. What is erased is everything but a named list: a table that is added later is erased without anybody
 * remembering to. What stays is what must go on verifying, the trail and its head, and the empty organization; they
 * hold ids and no names.
 *
 * Its hash key is shredded with its rows, so that the hashes in any copy of its records are meaningless.
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
  'erase_organization_records(uuid, integer)',
  'organizations_to_erase(integer)',
] as const;

const GRACE_DAYS = 7;
/** Calls that were under way, and spools of replicas that come back, may bring records after the erasure. */
const LATE_RECORDS_DAYS = 3;

/** What outlives an organization; savings_ledger and seals are named for when they exist. */
const KEPT = [
  'audit_log',
  'audit_heads',
  'tenancy_changes',
  'savings_ledger',
  'seals',
  // Erased in batches of its own: there may be millions of them.
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
 * Everything but the records, in one transaction; false where it is not due, or done before. People who belong to no
 * other organization go with it. Tables are emptied in the order that their foreign keys ask for: one that is still
 * referred to is tried again after the others.
 */
const ERASE = `
  CREATE FUNCTION erase_organization(org uuid) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    person uuid;
    people uuid[] := '{}';
    waiting text[];
    held text[];
    candidate text;
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

    SELECT array_agg(c.relname ORDER BY c.relname) INTO waiting
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'org_id' AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND c.relname NOT IN ('${KEPT.join("', '")}');
    WHILE cardinality(waiting) > 0 LOOP
      held := '{}';
      FOREACH candidate IN ARRAY waiting LOOP
        BEGIN
          EXECUTE format('DELETE FROM public.%I WHERE org_id = $1', candidate) USING org;
        EXCEPTION WHEN foreign_key_violation THEN
          held := held || candidate;
        END;
      END LOOP;
      IF cardinality(held) = cardinality(waiting) THEN
        RAISE EXCEPTION 'tables that refer to each other: %', held USING ERRCODE = 'restrict_violation';
      END IF;
      waiting := held;
    END LOOP;

    FOR candidate IN
      SELECT format('DELETE FROM %s WHERE %I = ANY ($1)', con.conrelid::regclass, a.attname)
        FROM pg_constraint con JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = con.conkey[1]
       WHERE con.contype = 'f' AND con.confrelid = 'public.users'::regclass
         AND NOT EXISTS (SELECT FROM pg_attribute o
                          WHERE o.attrelid = con.conrelid AND o.attname = 'org_id' AND NOT o.attisdropped)
    LOOP
      EXECUTE candidate USING people;
    END LOOP;
    DELETE FROM public.users WHERE id = ANY (people);

    UPDATE public.organizations
       SET name = 'Erased organization', hash_key_sealed = NULL, allowed_providers = NULL, allowed_models = NULL,
           requests_per_minute = NULL, is_first = false, erased_at = now()
     WHERE id = org;
    RETURN true;
  END $$;
`;

/** Returns how many it erased: call it until that is 0. Only of an organization that is erased. */
const ERASE_RECORDS = `
  CREATE FUNCTION erase_organization_records(org uuid, at_most integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    erased integer;
  BEGIN ${ASSERT_SCOPE}
    PERFORM FROM public.organizations WHERE id = org AND erased_at IS NOT NULL;
    IF NOT FOUND THEN
      RETURN 0;
    END IF;
    DELETE FROM public.request_log r
     USING (SELECT started_at, request_id, retention_class FROM public.request_log
             WHERE org_id = org LIMIT least(at_most, 10000)) AS batch
     WHERE r.org_id = org AND r.started_at = batch.started_at AND r.request_id = batch.request_id
       AND r.retention_class = batch.retention_class;
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
  END $$;
`;

const DUE = `
  CREATE FUNCTION organizations_to_erase(at_most integer) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT id FROM public.organizations
     WHERE deletion_due_at <= now()
       AND (erased_at IS NULL OR erased_at > now() - interval '${LATE_RECORDS_DAYS} days')
     ORDER BY deletion_due_at LIMIT least(at_most, 1000)
  $$;
`;

const GRANTS = SIGNATURES.map(
  (signature) => `
  REVOKE ALL ON FUNCTION ${signature} FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION ${signature} TO shunt_runtime;`,
).join('');
