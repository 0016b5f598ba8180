import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What is told about savings and held against it: the monthly statements, kept as they were signed (a later one of the
 * same month replaces none, it says which it follows), and what was imported of providers' invoices, by day and model,
 * with no more of a file than that. Nothing of it is ever changed; it goes away with its organization alone.
 */
export class Reports1763800200000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(TABLES);
    await runner.query(ISOLATION);
    await runner.query(GRANTS);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE invoice_lines, invoice_imports, savings_statements;');
  }
}

const NAMES = ['savings_statements', 'invoice_imports', 'invoice_lines'] as const;

const TABLES = `
  CREATE TABLE savings_statements (
    org_id uuid NOT NULL REFERENCES organizations (id),
    id uuid NOT NULL,
    -- Its first day, UTC.
    month date NOT NULL CHECK (extract(day FROM month) = 1),
    -- 1 is the first one of its month.
    number smallint NOT NULL CHECK (number BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL,
    -- The text that was signed, to the byte, and the key that a reader checks it with (PEM).
    text text NOT NULL CHECK (octet_length(text) <= 1048576),
    signature text NOT NULL CHECK (signature ~ '^[A-Za-z0-9_-]{86}$'),
    public_key text NOT NULL CHECK (length(public_key) <= 1000),
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, month, number)
  );

  CREATE TABLE invoice_imports (
    org_id uuid NOT NULL REFERENCES organizations (id),
    id uuid NOT NULL,
    -- Of two that speak of the same day the one with the higher number counts.
    number integer NOT NULL CHECK (number > 0),
    provider text NOT NULL CHECK (provider IN ('openai', 'anthropic')),
    kind text NOT NULL CHECK (kind IN ('cost', 'usage')),
    created_at timestamptz NOT NULL,
    from_day date NOT NULL,
    to_day date NOT NULL CHECK (to_day >= from_day AND to_day - from_day < 400),
    file_rows integer NOT NULL CHECK (file_rows > 0),
    file_sha256 bytea NOT NULL CHECK (octet_length(file_sha256) = 32),
    PRIMARY KEY (org_id, id),
    UNIQUE (org_id, number)
  );

  CREATE TABLE invoice_lines (
    org_id uuid NOT NULL,
    import_id uuid NOT NULL,
    day date NOT NULL,
    model text NOT NULL CHECK (length(model) BETWEEN 1 AND 200),
    -- Of another key of the provider than the one that calls go through.
    other_key boolean NOT NULL,
    input_tokens numeric NOT NULL CHECK (input_tokens >= 0 AND input_tokens = trunc(input_tokens)),
    output_tokens numeric NOT NULL CHECK (output_tokens >= 0 AND output_tokens = trunc(output_tokens)),
    -- Integers of nano-USD; negative where a provider gives something back.
    amount_nano_usd numeric CHECK (amount_nano_usd = trunc(amount_nano_usd) AND abs(amount_nano_usd) < 1e38),
    PRIMARY KEY (org_id, import_id, day, model, other_key),
    FOREIGN KEY (org_id, import_id) REFERENCES invoice_imports (org_id, id)
  );

  ${NAMES.map(
    (name) => `CREATE TRIGGER ${name}_append_only BEFORE UPDATE OR TRUNCATE ON ${name}
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();`,
  ).join('\n  ')}
`;

const ISOLATION = NAMES.map(
  (table) => `
  ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY;
  ALTER TABLE ${table} FORCE ROW LEVEL SECURITY;
  CREATE POLICY tenant ON ${table}
    USING (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid)
    WITH CHECK (org_id = nullif(current_setting('shunt.org_id', true), '')::uuid);`,
).join('');

const GRANTS = `GRANT SELECT, INSERT ON ${NAMES.join(', ')} TO shunt_runtime;`;
