import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What the ledger has to say anew once a price is learned: how far each ledger has been compared with the agreements of
 * its organization, and the routed calls that had no price when they were made. Neither is a fact about money: both are
 * work that is left, and go away with it.
 */
export class LatePrices1763910000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLES);
    await runner.query(ISOLATION);
    await runner.query(NOTE);
    await runner.query(DUE);
    await runner.query(GRANTS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DROP TRIGGER negotiated_prices_noted ON negotiated_prices;
      DROP FUNCTION organizations_with_late_prices(uuid, integer);
      DROP FUNCTION note_late_price();
      DROP TABLE unpriced_calls, ledger_price_cursors;
    `);
  }
}

const TABLES = `
  -- One row for each organization that ever agreed on a price.
  CREATE TABLE ledger_price_cursors (
    org_id uuid PRIMARY KEY REFERENCES organizations (id),
    -- The entries up to this number have the prices of the agreements that are noted here.
    seq bigint NOT NULL CHECK (seq >= 0),
    -- The earliest day of an agreement that the number does not take into account yet; null where there is none.
    from_ms bigint
  );

  CREATE TABLE unpriced_calls (
    org_id uuid NOT NULL,
    request_id uuid NOT NULL,
    -- The entry that there would be, but for prices and amounts, and the terms that its prices depend on.
    call jsonb NOT NULL CHECK (jsonb_typeof(call) = 'object'),
    -- No longer than its record.
    kept_until timestamptz NOT NULL,
    -- What was known of prices when it was last tried.
    tried text NOT NULL DEFAULT '',
    PRIMARY KEY (org_id, request_id)
  );
  CREATE INDEX unpriced_calls_by_try ON unpriced_calls (org_id, tried);
`;

const ISOLATION = `${['ledger_price_cursors', 'unpriced_calls']
  .map(
    (table) => `
  ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY;
  ALTER TABLE ${table} FORCE ROW LEVEL SECURITY;
  CREATE POLICY tenant ON ${table}
    USING (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid)
    WITH CHECK (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid);`,
  )
  .join('')}
  CREATE POLICY owner_notes ON ledger_price_cursors TO CURRENT_USER USING (true) WITH CHECK (true);
  CREATE POLICY owner_reads ON unpriced_calls FOR SELECT TO CURRENT_USER USING (true);
`;

/** In the transaction that enters an agreement: whoever sees the one sees the other. Before the first there is nothing to compare. */
const NOTE = `
  CREATE FUNCTION note_late_price() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    INSERT INTO public.ledger_price_cursors AS c (org_id, seq, from_ms)
    VALUES (NEW.org_id,
            coalesce((SELECT h.seq FROM public.ledger_heads h WHERE h.org_id = NEW.org_id), 0),
            (extract(epoch FROM NEW.effective_from) * 1000)::bigint)
    ON CONFLICT (org_id) DO UPDATE SET from_ms = least(c.from_ms, excluded.from_ms);
    RETURN NULL;
  END $$;
  REVOKE ALL ON FUNCTION note_late_price() FROM PUBLIC;
  CREATE TRIGGER negotiated_prices_noted AFTER INSERT ON negotiated_prices
    FOR EACH ROW EXECUTE FUNCTION note_late_price();
`;

/** Whose ledger may have something to say anew, by their ids, so that a caller can go round in bounded steps. */
const DUE = `
  CREATE FUNCTION organizations_with_late_prices(after_org uuid, at_most integer) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT o.id FROM public.organizations o
     WHERE o.id > after_org AND o.erased_at IS NULL
       AND (EXISTS (SELECT FROM public.unpriced_calls u WHERE u.org_id = o.id)
            OR EXISTS (SELECT FROM public.ledger_price_cursors c LEFT JOIN public.ledger_heads h USING (org_id)
                        WHERE c.org_id = o.id AND (c.from_ms IS NOT NULL OR h.seq > c.seq)))
     ORDER BY o.id LIMIT least(at_most, 1000)
  $$;
  REVOKE ALL ON FUNCTION organizations_with_late_prices(uuid, integer) FROM PUBLIC;
`;

const GRANTS = `
  GRANT SELECT, UPDATE (seq, from_ms) ON ledger_price_cursors TO shunt_runtime;
  GRANT SELECT, INSERT, DELETE, UPDATE (tried) ON unpriced_calls TO shunt_runtime;
  GRANT EXECUTE ON FUNCTION organizations_with_late_prices(uuid, integer) TO shunt_runtime;
`;
