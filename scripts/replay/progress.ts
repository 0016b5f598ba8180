const BAR_WIDTH = 24;
const TTY_EVERY_MS = 200;
const PLAIN_EVERY_MS = 5_000;

export interface ProgressState {
  readonly calls: number;
  readonly failed: number;
  readonly elapsedMs: number;
  /** How much of the file, or of the limit, is done: 0 to 1. */
  readonly share: number;
}

/** One line of progress. */
export function progressLine(state: ProgressState, withBar: boolean): string {
  const seconds = state.elapsedMs / 1_000;
  const rate = seconds === 0 ? 0 : state.calls / seconds;
  const failed = state.failed === 0 ? '' : `, ${state.failed} failed`;
  const counts = `${state.calls} calls${failed}, ${rate.toFixed(1)}/s, ${seconds.toFixed(0)} s`;
  const percent = `${Math.floor(state.share * 100)} %`.padStart(5);
  if (!withBar) return `${percent}  ${counts}`;
  const filled = Math.round(state.share * BAR_WIDTH);
  return `${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)} ${percent}  ${counts}`;
}

/** Shows progress: a bar that moves on a terminal, a line now and then elsewhere. Returns what ends it. */
export function showProgress(out: NodeJS.WriteStream, state: () => ProgressState): () => void {
  const isTty = out.isTTY === true;
  const show = (): void => {
    const line = progressLine(state(), isTty);
    out.write(isTty ? `\r\u001b[K${line}` : `${line}\n`);
  };
  const timer = setInterval(show, isTty ? TTY_EVERY_MS : PLAIN_EVERY_MS);
  return () => {
    clearInterval(timer);
    if (isTty) out.write('\r\u001b[K');
  };
}
