import type { MigrationInterface } from 'typeorm';
import { Tenancy1763600000000 } from '../../../migrations/1763600000000-tenancy.js';

/** Every migration, oldest first. A list and not a glob: what is built is what runs. */
export const MIGRATIONS: readonly (new () => MigrationInterface)[] = [Tenancy1763600000000];
