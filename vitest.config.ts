import { defineConfig } from 'vitest/config';

const slow = { testTimeout: 60_000, hookTimeout: 120_000, pool: 'forks' as const };

export default defineConfig({
  test: {
    // Many wait for a time limit or another process most of their time: one more than the two cores pays.
    maxWorkers: 3,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.spec.ts', 'scripts/**/*.spec.ts', 'test/architecture/*.spec.ts'],
          // Properties over thousands of inputs take a second or two, and several times that on a busy machine.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.spec.ts'],
          globalSetup: ['test/support/postgres-template.ts'],
          setupFiles: ['test/support/quick-passwords.ts'],
          ...slow,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.spec.ts'],
          globalSetup: ['test/support/build.ts', 'test/support/postgres-template.ts'],
          setupFiles: ['test/support/quick-passwords.ts'],
          ...slow,
        },
      },
    ],
  },
});
