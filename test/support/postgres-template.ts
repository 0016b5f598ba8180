import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startEmbeddedPostgres } from '../../src/platform/embedded-postgres/start-embedded-postgres.js';
import { migrate } from '../../src/platform/postgres/migrate.js';
import { createLogger } from '../../src/platform/telemetry/logger.js';

const TEMPLATE = 'SHUNT_TEST_POSTGRES_TEMPLATE';
/** What a copy of the template survives is the end of its processes, as all that a test can bring about. */
const NOT_DURABLE = 'fsync = off\nfull_page_writes = off\n';

/**
 * Making a server's files and its schema takes most of a second of a core: it is done once for all specs of a run,
 * which start copies of them.
 */
export default async function makeTemplate(): Promise<(() => void) | undefined> {
  // Copies keep their owner by means that Windows has not; another project's specs may have made it already.
  if (process.platform === 'win32' || process.env[TEMPLATE] !== undefined) return undefined;
  const dir = mkdtempSync(path.join(tmpdir(), 'shunt-test-template-'));
  chmodSync(dir, 0o711);
  const home = path.join(dir, 'postgres');
  const logger = createLogger('silent');
  const postgres = await startEmbeddedPostgres({ dir: home, logger, durable: false });
  try {
    await migrate({ ...postgres, logger });
  } finally {
    await postgres.stop();
  }
  appendFileSync(path.join(home, 'data/postgresql.auto.conf'), NOT_DURABLE);
  process.env[TEMPLATE] = home;
  return () => {
    delete process.env[TEMPLATE];
    rmSync(dir, { recursive: true, force: true });
  };
}

/** True where `home` is such a copy from now on; without a template the server makes its files itself. */
export function copyTemplate(home: string): boolean {
  const template = process.env[TEMPLATE];
  // A server whose data lies elsewhere, because its user cannot get to this place, cannot be copied.
  if (template === undefined || existsSync(path.join(template, 'location'))) return false;
  execFileSync('cp', ['-Rp', template, home]);
  return true;
}
