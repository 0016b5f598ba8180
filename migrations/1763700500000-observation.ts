import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The observation of an organization: its window, made once at its first forwarded call; which steps of the funnel
 * are over, each once (the primary key is what makes a step idempotent); and the reports, which are kept as they were
 * shown, because an activation names the one that was reviewed.
 */
export class Observation1763700500000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLES);
    await runner.query(ISOLATION);
    await runner.query(TO_OBSERVE);
    await runner.query(FIRST_CALLS);
    await runner.query(DUE_STEPS);
    await runner.query(GRANTS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP FUNCTION ${SIGNATURES.join(', ')};
      DROP TABLE observation_steps, reports, observations;
    `);
  }
}

const SIGNATURES = [
  'organizations_to_observe(uuid, integer)',
  'first_forwarded_calls(uuid[])',
  'organizations_with_due_steps(timestamptz, timestamptz, uuid, integer)',
] as const;

const TABLES = `
  CREATE TABLE observations (
    org_id uuid PRIMARY KEY REFERENCES organizations (id),
    -- The time of the first forwarded call.
    started_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > started_at),
    -- When the job has to look again; null once every step is over.
    next_due_at timestamptz
  );
  CREATE INDEX observations_due ON observations (next_due_at, org_id) WHERE next_due_at IS NOT NULL;

  CREATE TABLE reports (
    org_id uuid NOT NULL REFERENCES organizations (id),
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('interim', 'conversion', 'on_demand')),
    created_at timestamptz NOT NULL,
    period_from timestamptz NOT NULL,
    period_to timestamptz NOT NULL CHECK (period_to >= period_from),
    -- Versioned by its own member "version".
    figures jsonb NOT NULL CHECK (jsonb_typeof(figures) = 'object' AND figures ? 'version'),
    -- The price lists that priced the calls of the period.
    price_versions text[] NOT NULL,
    PRIMARY KEY (org_id, id)
  );
  CREATE INDEX reports_by_time ON reports (org_id, created_at DESC, id DESC);
  -- They go away with their organization alone, hence no trigger on DELETE, which the runtime may not.
  CREATE TRIGGER reports_append_only BEFORE UPDATE OR TRUNCATE ON reports
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

  CREATE TABLE observation_steps (
    org_id uuid NOT NULL REFERENCES observations (org_id),
    step text NOT NULL CHECK (step IN ('interim_report', 'reminder_three_days', 'reminder_one_day',
      'conversion_report', 'close_window', 'reminder_after_end')),
    due_at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('done', 'skipped')),
    at timestamptz NOT NULL,
    report_id uuid,
    PRIMARY KEY (org_id, step),
    -- The row comes first in its transaction, the report after it.
    FOREIGN KEY (org_id, report_id) REFERENCES reports (org_id, id) DEFERRABLE INITIALLY DEFERRED
  );
  CREATE TRIGGER observation_steps_append_only BEFORE UPDATE OR TRUNCATE ON observation_steps
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
`;

const ISOLATION = ['observations', 'observation_steps', 'reports']
  .map(
    (table) => `
  ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY;
  ALTER TABLE ${table} FORCE ROW LEVEL SECURITY;
  CREATE POLICY tenant ON ${table}
    USING (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid)
    WITH CHECK (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid);`,
  )
  .join('');

/**
 * Who may be about to start: in the order of their ids, so that a caller can go round in bounded steps. In plpgsql,
 * which looks columns up when it runs: erased_at is made by a later migration.
 */
const TO_OBSERVE = `
  CREATE POLICY owner_reads ON observations FOR SELECT TO CURRENT_USER USING (true);

  CREATE FUNCTION organizations_to_observe(after_org uuid, at_most integer) RETURNS SETOF uuid
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    RETURN QUERY
      SELECT o.id FROM public.organizations o
       WHERE o.id > after_org AND o.status = 'observing' AND o.activated_at IS NULL AND o.erased_at IS NULL
         AND NOT EXISTS (SELECT FROM public.observations b WHERE b.org_id = o.id)
       ORDER BY o.id LIMIT least(at_most, 1000);
  END $$;
  REVOKE ALL ON FUNCTION organizations_to_observe(uuid, integer) FROM PUBLIC;
`;

/** More of the newest calls than these are not looked at for one that was forwarded. */
const NEWEST_CALLS = 500;

/**
 * The first forwarded call of each, where there is one. It runs as its caller, under row security, which it scopes to
 * one organization after the other: one round trip for many. Two look-ups, because an organization whose every call
 * is refused must not have all of them read each minute.
 */
const FIRST_CALLS = `
  CREATE FUNCTION first_forwarded_calls(orgs uuid[]) RETURNS TABLE (org_id uuid, started_at timestamptz)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    org uuid;
  BEGIN
    IF cardinality(orgs) > 1000 THEN
      RAISE EXCEPTION 'at most 1000 organizations' USING ERRCODE = '22023';
    END IF;
    FOREACH org IN ARRAY orgs LOOP
      PERFORM set_config('shunt.org_id', org::text, true);
      CONTINUE WHEN NOT EXISTS (
        SELECT FROM (SELECT r.outcome FROM public.request_log r
                      WHERE r.org_id = org ORDER BY r.started_at DESC LIMIT ${NEWEST_CALLS}) AS newest
         WHERE newest.outcome <> 'refused');
      org_id := org;
      SELECT r.started_at INTO started_at FROM public.request_log r
       WHERE r.org_id = org AND r.outcome <> 'refused' ORDER BY r.started_at LIMIT 1;
      RETURN NEXT;
    END LOOP;
    PERFORM set_config('shunt.org_id', '', true);
  END $$;
  REVOKE ALL ON FUNCTION first_forwarded_calls(uuid[]) FROM PUBLIC;
`;

/** Whose next step is due, the longest waiting first; a suspended organization's waits until it is reinstated. */
const DUE_STEPS = `
  CREATE FUNCTION organizations_with_due_steps(as_of timestamptz, after_due timestamptz, after_org uuid, at_most integer)
    RETURNS TABLE (org_id uuid, due_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT b.org_id, b.next_due_at FROM public.observations b JOIN public.organizations o ON o.id = b.org_id
     WHERE b.next_due_at <= as_of AND (b.next_due_at, b.org_id) > (after_due, after_org) AND o.status <> 'suspended'
     ORDER BY b.next_due_at, b.org_id LIMIT least(at_most, 1000)
  $$;
  REVOKE ALL ON FUNCTION organizations_with_due_steps(timestamptz, timestamptz, uuid, integer) FROM PUBLIC;
`;

/** What was started is not started again, what is over stays over: the start cannot be changed, no row deleted. */
const GRANTS = `
  GRANT SELECT, INSERT ON observations, observation_steps, reports TO shunt_runtime;
  GRANT UPDATE (ends_at, next_due_at) ON observations TO shunt_runtime;
  ${SIGNATURES.map((signature) => `GRANT EXECUTE ON FUNCTION ${signature} TO shunt_runtime;`).join('\n  ')}
`;
