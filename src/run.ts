import { FailedFirstStart, originOf, startApp, type App } from './app.js';
import { loadConfig, type AppConfig } from './config/app-config.js';
import { ConfigError } from './config/environment.js';
import { createLogger, safeError, type Logger } from './platform/telemetry/logger.js';
import { welcome } from './welcome.js';

/** Signals so close together are one. */
const SAME_SIGNAL_MS = 1_000;

/** Starts the product and stays until it is told to end. */
export async function run(): Promise<void> {
  const config = readConfig();
  const logger = createLogger(config.logLevel);
  watchProcess(logger);
  // From now on, and not once it runs: the start itself starts Postgres, which must not stay behind.
  const asked = askedToEnd();
  const app = await start(config, logger);
  process.stdout.write(welcome(app.origin, app.engine.bootstrapped));
  void app.engine.databaseReady.then((made) => {
    // A replica that started without its database, and then found a fresh one.
    if (made !== app.engine.bootstrapped) process.stdout.write(welcome(app.origin, made));
  });
  void asked.then((signal) => end(app, logger, signal));
}

/** Resolves at the first signal. Asked again, the process does not wait. */
function askedToEnd(): Promise<string> {
  let askedAt: number | null = null;
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.on(signal, () => {
        askedAt ??= performance.now();
        // Runners pass a signal on that the process had itself, within moments.
        if (performance.now() - askedAt > SAME_SIGNAL_MS) process.exit(1);
        resolve(signal);
      });
    }
  });
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
    logger.info({ origin: app.origin, adminOrigin: app.adminOrigin }, 'ready');
    return app;
  } catch (error) {
    if (!(error instanceof FailedFirstStart)) return exitWith(error);
    const origin = originOf(config, config.port);
    process.stdout.write(welcome(origin, error.made, 'Shunt will listen on'));
    return exitWith(error.cause);
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
