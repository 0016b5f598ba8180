import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * One row per call. Partitioned by retention class, then by month, so that retention drops partitions and
 * deletes no rows. The runtime may use the parent only: a partition is reached through the parent's row
 * security or not at all. Partitions are made and dropped by two functions of the owner, both bounded, since
 * the runtime owns nothing.
 *
 * No foreign keys: rows outlive projects and keys, and a check per call would cost the write path.
 */
export class RequestLog1763600100000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLE);
    await runner.query(CLASSES);
    await runner.query(ISOLATION);
    await runner.query(ENSURE_PARTITIONS);
    await runner.query(DROP_EXPIRED);
    await runner.query(GRANTS);
    await runner.query(
      `SELECT ensure_request_log_partitions(((now() AT TIME ZONE 'UTC') - interval '1 month')::date, 5)`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP FUNCTION drop_expired_request_log_partitions(timestamptz);
      DROP FUNCTION ensure_request_log_partitions(date, integer);
      DROP TABLE request_log;
    `);
  }
}

/** Amounts are integers of nano-USD. Not numeric(38,0), which would round a fraction in silence: the checks refuse it. */
const amountCheck = (column: string): string =>
  `CHECK (${column} >= 0 AND ${column} = trunc(${column}) AND ${column} < 1e38)`;

const TABLE = `
  CREATE TABLE request_log (
    org_id uuid NOT NULL,
    started_at timestamptz NOT NULL,
    request_id uuid NOT NULL,
    retention_class text NOT NULL,
    project_id uuid NOT NULL,
    api_key_id uuid NOT NULL,
    provider text NOT NULL,
    operation text NOT NULL,
    requested_model text,
    streamed boolean NOT NULL,
    decision text NOT NULL CHECK (decision IN
      ('passthrough', 'classifier', 'session', 'override', 'control', 'abstain', 'fallback')),
    mode text NOT NULL CHECK (mode IN
      ('observing', 'observation_ended', 'active', 'past_due', 'canceled', 'suspended')),
    synthetic boolean NOT NULL,
    -- 0 interrupted, 1 final, 2 final with an estimate: a higher one replaces a lower one.
    revision smallint NOT NULL CHECK (revision BETWEEN 0 AND 2),
    outcome text NOT NULL CHECK (outcome IN
      ('completed', 'refused', 'upstream_error', 'upstream_failed', 'client_aborted', 'truncated', 'interrupted')),
    status_code smallint,
    error_code text,
    failure_class text,
    served_model text,
    metering text NOT NULL CHECK (metering IN ('reported', 'estimated', 'unmetered', 'not_applicable')),
    unmetered_reason text,
    usage jsonb CHECK (
      jsonb_typeof(usage) = 'object'
      AND NOT jsonb_path_exists(usage, '$.* ? (@.type() != "number" || @ < 0 || @ != @.floor())')),
    service_tier text,
    speed text,
    region text,
    pricing text NOT NULL CHECK (pricing IN ('priced', 'unpriceable', 'not_applicable')),
    unpriceable_reason text,
    price_version text,
    frozen_prices jsonb CHECK (jsonb_typeof(frozen_prices) = 'object'),
    cost_nano_usd numeric ${amountCheck('cost_nano_usd')},
    baseline_cost_nano_usd numeric ${amountCheck('baseline_cost_nano_usd')},
    projected_model text,
    projected_cost_nano_usd numeric ${amountCheck('projected_cost_nano_usd')},
    session_key text,
    route_class text,
    classification jsonb,
    customer_id text,
    tags text[] NOT NULL,
    latency_ms integer CHECK (latency_ms >= 0),
    time_to_first_byte_ms integer CHECK (time_to_first_byte_ms >= 0),
    tokens_per_second double precision,
    request_bytes bigint NOT NULL CHECK (request_bytes >= 0),
    response_bytes bigint NOT NULL CHECK (response_bytes >= 0),
    client_retry integer NOT NULL CHECK (client_retry >= 0),
    upstream_request_id text,

    -- Partition columns have to be in the key; the class is fixed at write, so the rest alone is unique too.
    PRIMARY KEY (org_id, started_at, request_id, retention_class),
    CONSTRAINT cost_iff_priced CHECK ((pricing = 'priced') = (cost_nano_usd IS NOT NULL)),
    CONSTRAINT priced_is_reproducible CHECK (pricing <> 'priced'
      OR (usage IS NOT NULL AND frozen_prices IS NOT NULL AND price_version IS NOT NULL)),
    CONSTRAINT unpriceable_says_why CHECK ((pricing = 'unpriceable') = (unpriceable_reason IS NOT NULL)),
    CONSTRAINT usage_iff_metered CHECK ((metering IN ('reported', 'estimated')) = (usage IS NOT NULL)),
    CONSTRAINT unmetered_says_why CHECK ((metering = 'unmetered') = (unmetered_reason IS NOT NULL)),
    CONSTRAINT interrupted_is_revision_0 CHECK ((revision = 0) = (outcome = 'interrupted')),
    CONSTRAINT interrupted_knows_nothing CHECK (revision <> 0
      OR (metering = 'unmetered' AND unmetered_reason = 'interrupted')),
    CONSTRAINT estimate_is_marked CHECK (revision <> 2 OR metering = 'estimated'),
    CONSTRAINT projection_names_its_model CHECK (projected_cost_nano_usd IS NULL OR projected_model IS NOT NULL)
  ) PARTITION BY LIST (retention_class);

  -- Beside the key, which serves an organization's period and one request (its id holds its time), one index
  -- for a project's newest calls and its period. Each more would cost every call a write.
  CREATE INDEX request_log_by_project ON request_log (org_id, project_id, started_at DESC, request_id DESC);
`;

const RETENTION_DAYS = { d30: 30, d90: 90, d400: 400 } as const;

const CLASSES = Object.keys(RETENTION_DAYS)
  .map(
    (name) => `
  CREATE TABLE request_log_${name} PARTITION OF request_log FOR VALUES IN ('${name}')
    PARTITION BY RANGE (started_at);
  ALTER TABLE request_log_${name} ENABLE ROW LEVEL SECURITY;`,
  )
  .join('');

/** Forced on the parent, where everybody enters. Partitions have it without a policy: nobody but the owner (a backup) reads them. */
const ISOLATION = `
  ALTER TABLE request_log ENABLE ROW LEVEL SECURITY;
  ALTER TABLE request_log FORCE ROW LEVEL SECURITY;
  CREATE POLICY tenant ON request_log
    USING (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid)
    WITH CHECK (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid);
`;

/**
 * Returns how many partitions it made. A table is made apart and then attached, because ATTACH lets writers of
 * the parent go on; nobody waits for it longer than the lock's time limit.
 */
const ENSURE_PARTITIONS = `
  CREATE FUNCTION ensure_request_log_partitions(from_month date, months integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s' SET timezone = 'UTC' AS $$
  DECLARE
    this_month date := date_trunc('month', now())::date;
    first_month date := date_trunc('month', from_month)::date;
    last_month date := (first_month + make_interval(months => months - 1))::date;
    month date;
    class text;
    partition text;
    made integer := 0;
  BEGIN
    IF months IS NULL OR from_month IS NULL OR months NOT BETWEEN 1 AND 24 THEN
      RAISE EXCEPTION 'between 1 and 24 months' USING ERRCODE = '22023';
    END IF;
    IF first_month < (this_month - interval '15 months') OR last_month > (this_month + interval '12 months') THEN
      RAISE EXCEPTION 'months from 15 back to 12 ahead' USING ERRCODE = '22023';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('shunt.request_log_partitions'));
    FOR month IN SELECT generate_series(first_month, last_month, interval '1 month')::date LOOP
      FOREACH class IN ARRAY ARRAY['${Object.keys(RETENTION_DAYS).join("', '")}'] LOOP
        partition := format('request_log_%s_%s', class, to_char(month, 'YYYY_MM'));
        CONTINUE WHEN to_regclass(format('public.%I', partition)) IS NOT NULL;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', partition, 'request_log_' || class);
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', partition);
        EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC, shunt_runtime', partition);
        EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                       'request_log_' || class, partition,
                       month::timestamptz, (month + interval '1 month')::timestamptz);
        made := made + 1;
      END LOOP;
    END LOOP;
    RETURN made;
  END $$;
`;

/** Returns the names of what it dropped. A time in the future counts as now: nobody drops what is not expired. */
const DROP_EXPIRED = `
  CREATE FUNCTION drop_expired_request_log_partitions(as_of timestamptz) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s' SET timezone = 'UTC' AS $$
  DECLARE
    cutoff timestamptz := least(as_of, now());
    expired text;
  BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('shunt.request_log_partitions'));
    FOR expired IN
      SELECT c.relname
        FROM (VALUES ${Object.entries(RETENTION_DAYS)
          .map(([name, days]) => `('${name}', interval '${days} days')`)
          .join(', ')}) AS class (name, kept)
        JOIN pg_inherits i ON i.inhparent = to_regclass('public.request_log_' || class.name)
        JOIN pg_class c ON c.oid = i.inhrelid
       WHERE to_date(right(c.relname, 7), 'YYYY_MM')::timestamptz + interval '1 month' + class.kept <= cutoff
       ORDER BY c.relname
    LOOP
      EXECUTE format('DROP TABLE public.%I', expired);
      RETURN NEXT expired;
    END LOOP;
  END $$;
`;

const GRANTS = `
  REVOKE ALL ON FUNCTION ensure_request_log_partitions(date, integer) FROM PUBLIC;
  REVOKE ALL ON FUNCTION drop_expired_request_log_partitions(timestamptz) FROM PUBLIC;
  GRANT EXECUTE ON FUNCTION ensure_request_log_partitions(date, integer) TO shunt_runtime;
  GRANT EXECUTE ON FUNCTION drop_expired_request_log_partitions(timestamptz) TO shunt_runtime;

  -- UPDATE serves a later revision; what a row is keyed by never changes. No DELETE: retention drops partitions.
  GRANT SELECT, INSERT ON request_log TO shunt_runtime;
  GRANT UPDATE (project_id, api_key_id, provider, operation, requested_model, streamed, decision, mode, synthetic,
                revision, outcome, status_code, error_code, failure_class, served_model, metering, unmetered_reason,
                usage, service_tier, speed, region, pricing, unpriceable_reason, price_version, frozen_prices,
                cost_nano_usd, baseline_cost_nano_usd, projected_model, projected_cost_nano_usd, session_key,
                route_class, classification, customer_id, tags, latency_ms, time_to_first_byte_ms,
                tokens_per_second, request_bytes, response_bytes, client_retry, upstream_request_id)
    ON request_log TO shunt_runtime;
`;
