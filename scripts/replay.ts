import { HELP, parseOptions, type ReplayOptions } from './replay/options.js';
import { showProgress } from './replay/progress.js';
import { openPrompts, type PromptFile } from './replay/prompt-rows.js';
import { runReplay } from './replay/replay-run.js';
import { SpendLimit } from './replay/spend-limit.js';
import { summaryTable } from './replay/summary-table.js';
import { Tally } from './replay/tally.js';
import { probeUpstream } from './replay/upstream-check.js';

const NOTHING_SENT = 2;

process.exitCode = await main();

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), process.env);
  if (options.kind === 'help') {
    process.stdout.write(HELP);
    return 0;
  }
  if (options.kind === 'wrong') return refuse(`${options.message}\nSee --help.`);
  let prompts: PromptFile;
  try {
    prompts = await openPrompts(options.file);
  } catch (error) {
    return refuse(`The prompts cannot be read: ${(error as Error).message}`);
  }
  const upstream = await probeUpstream(options);
  if (upstream.kind === 'unreachable') {
    return refuse(`No gateway answers at ${options.url} (${upstream.reason}). Is it running?`);
  }
  if (upstream.kind === 'key_refused') {
    return refuse(`The gateway at ${options.url} does not know this key.`);
  }
  if (upstream.kind === 'real' && options.spendUsd === null) {
    return refuse(
      'This gateway sends calls to a real provider, where they cost money. Say how much they may cost: --spend USD',
    );
  }
  return replayAndReport(options, prompts, upstream.kind);
}

async function replayAndReport(
  options: ReplayOptions,
  prompts: PromptFile,
  upstream: 'sandbox' | 'real',
): Promise<number> {
  const tally = new Tally();
  const spend =
    upstream === 'real' ? new SpendLimit(options.spendUsd ?? 0, options.api, Date.now()) : null;
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const startedAtMs = performance.now();
  const elapsedMs = (): number => performance.now() - startedAtMs;
  const endProgress = showProgress(process.stderr, () => ({
    calls: tally.calls,
    failed: tally.failedCalls,
    elapsedMs: elapsedMs(),
    share: options.limit === null ? prompts.share() : Math.min(1, tally.calls / options.limit),
  }));
  try {
    const { rows } = prompts;
    const end = await runReplay({ options, rows, tally, spend, stop: stopping.signal });
    if (end !== 'all sent') process.stderr.write(`\nEnded early: ${end}.\n`);
  } catch (error) {
    process.stderr.write(`\nThe prompts cannot be read further: ${(error as Error).message}\n`);
  } finally {
    endProgress();
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
  const summary = tally.summary(elapsedMs());
  const spentUsd = spend?.spentUsd ?? null;
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ upstream, ...summary, spentUsd })}\n`
      : `${summaryTable(summary, spentUsd)}\n`,
  );
  if (summary.calls === 0) return NOTHING_SENT;
  return summary.failed > 0 ? 1 : 0;
}

function refuse(message: string): number {
  process.stderr.write(`${message}\n`);
  return NOTHING_SENT;
}
