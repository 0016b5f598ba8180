import { startSandbox } from './server.js';

const PORT_DEFAULT = 8090;

const port = Number(process.env['PORT'] || PORT_DEFAULT);
if (!Number.isInteger(port) || port < 0 || port > 65_535) {
  console.error('PORT must be a number from 0 to 65535.');
  process.exit(1);
}

try {
  const sandbox = await startSandbox({ port });
  console.log(
    `Sandbox of the four providers on ${sandbox.origin} (no model behind it, any key works)`,
  );
  for (const [provider, url] of Object.entries(sandbox.baseUrls)) {
    console.log(`  ${provider.toUpperCase()}_BASE_URL=${url}`);
  }
  const stop = (): void => {
    void sandbox.close().then(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
} catch (error) {
  console.error(error instanceof Error ? error.message : 'The sandbox could not start.');
  process.exit(1);
}
