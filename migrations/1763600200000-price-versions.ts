import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Money must be reproducible years later: a row names the price version that rated it, so every version of
 * the catalog is kept as it was, and nobody, the owner of the schema included, changes one by accident.
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
      CREATE TRIGGER price_versions_append_only
      BEFORE UPDATE OR DELETE OR TRUNCATE ON price_versions
      FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`);
    await runner.query('GRANT SELECT, INSERT ON price_versions TO shunt_runtime');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE price_versions');
  }
}
