import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Addresses of open invitations are sealed anew under a new encryption key: none ends with the old one. */
export class ResealedInvitations1763920000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('GRANT UPDATE (address_sealed) ON invitations TO shunt_runtime;');
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('REVOKE UPDATE (address_sealed) ON invitations FROM shunt_runtime;');
  }
}
