import { startApp, type App } from './app.js';
import { loadConfig, type AppConfig } from './config/app-config.js';
import { ConfigError } from './config/environment.js';
import { createLogger, safeError, type Logger } from './platform/telemetry/logger.js';
import { welcome } from './welcome.js';

/** Starts the product and stays until it is told to end. */
export async function run(): Promise<void> {
  const config = readConfig();
  const logger = createLogger(config.logLevel);
  watchProcess(logger);
  const app = await start(config, logger);
  process.stdout.write(welcome(app.origin, app.engine.bootstrapped));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void end(app, logger, signal));
  }
}

function readConfig(): AppConfig {
  try {
    return loadConfig();
  } catch (error) {
    return exitWith(error);
  }
}

async function start(config: AppConfig, logger: Logger): Promise<App> {
  try {
    const app = await startApp(config, logger);
    logger.info({ origin: app.origin, role: config.role }, 'ready');
    return app;
  } catch (error) {
    return exitWith(error);
  }
}

/** What stops a start is the operator's to read: the message says what to do. */
function exitWith(error: unknown): never {
  const isOurs = error instanceof ConfigError;
  process.stderr.write(
    `Shunt did not start.\n${error instanceof Error ? error.message : String(error)}\n`,
  );
  if (!isOurs && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  process.exit(1);
}

async function end(app: App, logger: Logger, signal: string): Promise<void> {
  logger.info({ signal }, 'ending: letting calls in flight finish');
  // A second signal does not wait.
  for (const again of ['SIGINT', 'SIGTERM'] as const) process.once(again, () => process.exit(1));
  try {
    await app.stop();
    logger.info('ended');
    process.exit(0);
  } catch (error) {
    logger.error({ err: safeError(error) }, 'did not end cleanly');
    process.exit(1);
  }
}

/** A fault that nobody caught is said without its message, which may quote content. */
function watchProcess(logger: Logger): void {
  process.on('uncaughtException', (error) =>
    logger.fatal({ err: safeError(error) }, 'uncaught exception'),
  );
  process.on('unhandledRejection', (error) =>
    logger.error({ err: safeError(error) }, 'unhandled rejection'),
  );
  process.removeAllListeners('warning');
  process.on('warning', (warning) => logger.warn({ name: warning.name }, 'process warning'));
}
