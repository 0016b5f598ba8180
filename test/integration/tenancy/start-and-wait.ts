import { startEmbeddedPostgres } from '../../../src/platform/embedded-postgres/start-embedded-postgres.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';

/** Run as a process of its own, which a spec kills while the server runs. */
const dir = process.env['EMBEDDED_DIR'] ?? '';
await startEmbeddedPostgres({ dir, logger: createLogger('silent'), durable: false });
process.stdout.write('started\n');
setInterval(() => undefined, 1_000);
