import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Since when it is known that the address of a user is theirs; null where nobody has shown it. Whoever has an account
 * already keeps everything.
 */
export class ConfirmedAddresses1763930000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      ALTER TABLE users ADD COLUMN confirmed_at timestamptz;
      UPDATE users SET confirmed_at = created_at;
      GRANT UPDATE (confirmed_at) ON users TO shunt_runtime;
      ALTER TABLE one_time_tokens DROP CONSTRAINT one_time_tokens_purpose_check,
        ADD CONSTRAINT one_time_tokens_purpose_check
          CHECK (purpose IN ('password_reset', 'address_confirmation'));
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      DELETE FROM one_time_tokens WHERE purpose <> 'password_reset';
      ALTER TABLE one_time_tokens DROP CONSTRAINT one_time_tokens_purpose_check,
        ADD CONSTRAINT one_time_tokens_purpose_check CHECK (purpose = 'password_reset');
      ALTER TABLE users DROP COLUMN confirmed_at;
    `);
  }
}
