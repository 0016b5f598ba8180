import { HELP, parseDemo } from './demo/options.js';
import { Screen, StepFailed } from './demo/screen.js';
import { tell } from './demo/story.js';

const WRONG = 2;
const INTERRUPTED = 130;

const code = await main();
// Where the output is a pipe, what was written may still be on its way.
await new Promise<void>((resolve) => {
  process.stdout.write('', () => resolve());
});
process.exit(code);

async function main(): Promise<number> {
  const options = parseDemo(process.argv.slice(2));
  if (options.kind === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  if (options.kind === 'wrong') {
    process.stderr.write(`${options.message}\nSee --help.\n`);
    return WRONG;
  }
  const screen = new Screen(options.json);
  const stopping = new AbortController();
  // Runners pass a signal on that the process had itself: asking again does not cut the tidying short.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (!stopping.signal.aborted) process.stderr.write('\nStopping, and tidying up ...\n');
      stopping.abort();
    });
  }
  try {
    await tell(options, screen, stopping.signal);
    screen.end({ ok: true });
    return 0;
  } catch (error) {
    screen.endProgress();
    if (stopping.signal.aborted) return INTERRUPTED;
    const isExpected = error instanceof StepFailed;
    const said = error instanceof Error ? (isExpected ? error.message : error.stack) : error;
    process.stderr.write(`\nThe demo ends here: ${String(said)}\n`);
    screen.end({ ok: false, failed: error instanceof Error ? error.message : 'unknown' });
    return 1;
  }
}
