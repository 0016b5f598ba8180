import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Money must be reproducible years later: a row names the price version that rated it, so every version of
 * the catalog is kept as it was, and nobody, the owner of the schema included, changes one by accident.
 * Negotiated prices are a tenant's own; they too are only ever added to (a correction is a later revision),
 * but by privilege and not by trigger, so that an organization can be deleted.
 */
export class PriceVersions1763600200000 implements MigrationInterface {
  readonly name = 'PriceVersions1763600200000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE price_versions (
        version text NOT NULL,
        provider text NOT NULL,
        model text NOT NULL,
        effective_from timestamptz NOT NULL,
        above_prompt_tokens bigint NOT NULL DEFAULT 0 CHECK (above_prompt_tokens >= 0),
        prices jsonb NOT NULL,
        terms jsonb NOT NULL,
        source text NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (version, provider, model, effective_from, above_prompt_tokens)
      )`);
    await runner.query(`
      CREATE FUNCTION price_versions_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        RAISE EXCEPTION 'price_versions is append-only' USING ERRCODE = 'restrict_violation';
      END $$`);
    await runner.query(`
      CREATE TRIGGER price_versions_append_only
      BEFORE UPDATE OR DELETE OR TRUNCATE ON price_versions
      FOR EACH STATEMENT EXECUTE FUNCTION price_versions_refuse_change()`);
    await runner.query(`
      CREATE TABLE negotiated_prices (
        org_id uuid NOT NULL REFERENCES organizations (id),
        provider text NOT NULL,
        model text NOT NULL,
        effective_from timestamptz NOT NULL,
        revision integer NOT NULL DEFAULT 0 CHECK (revision >= 0),
        prices jsonb NOT NULL,
        tiers jsonb NOT NULL DEFAULT '[]',
        entered_by text NOT NULL,
        entered_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (org_id, provider, model, effective_from, revision)
      )`);
    await runner.query('ALTER TABLE negotiated_prices ENABLE ROW LEVEL SECURITY');
    await runner.query('ALTER TABLE negotiated_prices FORCE ROW LEVEL SECURITY');
    await runner.query(`
      CREATE POLICY tenant ON negotiated_prices
      USING (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid)
      WITH CHECK (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid)`);
    await runner.query(
      'GRANT SELECT, INSERT ON price_versions, negotiated_prices TO shunt_runtime',
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE negotiated_prices');
    await runner.query('DROP TABLE price_versions');
    await runner.query('DROP FUNCTION price_versions_refuse_change()');
  }
}
