import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Sessions of operators, so that a cookie can be ended before its time: at logout, when the operator is disabled, when
 * the credentials are rotated. Operators serve all organizations: this is no tenant table, and it holds no secret (a
 * cookie is worthless without the signature, whose key is not in the database).
 */
export class Operators1763700700000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE operator_sessions (
        id uuid PRIMARY KEY,
        operator_id uuid NOT NULL REFERENCES operators (id),
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL CHECK (expires_at > created_at),
        ended_at timestamptz
      );
      CREATE INDEX operator_sessions_by_operator ON operator_sessions (operator_id);
      CREATE INDEX operator_sessions_by_end ON operator_sessions (expires_at);
      GRANT SELECT, INSERT, DELETE ON operator_sessions TO shunt_runtime;
      GRANT UPDATE (ended_at) ON operator_sessions TO shunt_runtime;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE operator_sessions');
  }
}
