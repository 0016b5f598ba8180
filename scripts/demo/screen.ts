import { formatUsd } from '../../src/domain/money/nano-usd.js';
import { table } from '../../src/cli/table.js';

/** What the demo was asked to show, and what it found instead. */
export class StepFailed extends Error {
  override readonly name = 'StepFailed';
}

export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new StepFailed(what);
}

const REDRAW_MS = 100;

/** Tells the story: tables on the standard output, progress on the standard error, or one JSON object at the end. */
export class Screen {
  readonly #found: Record<string, unknown> = {};
  readonly #isTerminal = process.stderr.isTTY === true;
  #drawnAtMs = 0;
  #hasLine = false;

  constructor(private readonly json: boolean) {}

  chapter(number: number, title: string): void {
    this.endProgress();
    if (this.json) process.stderr.write(`${number}. ${title}\n`);
    else process.stdout.write(`\n== ${number}. ${title} ==\n`);
  }

  say(text: string): void {
    this.endProgress();
    if (!this.json) process.stdout.write(`${text}\n`);
  }

  table(headings: readonly string[], rows: readonly (readonly string[])[]): void {
    this.say(`\n${table(headings, rows)}\n`);
  }

  /** A name and a figure each. */
  facts(rows: readonly (readonly [string, string])[]): void {
    const width = Math.max(...rows.map(([name]) => name.length));
    this.say(`\n${rows.map(([name, figure]) => `${name.padEnd(width)}  ${figure}`).join('\n')}\n`);
  }

  /** The same figures, for `--json`. */
  found(chapter: string, figures: unknown): void {
    this.#found[chapter] = figures;
  }

  progress(text: string, isLast = false): void {
    if (!this.#isTerminal) return;
    const nowMs = performance.now();
    if (!isLast && nowMs - this.#drawnAtMs < REDRAW_MS) return;
    this.#drawnAtMs = nowMs;
    this.#hasLine = true;
    process.stderr.write(`\r\u001b[2K   ${text}`);
  }

  endProgress(): void {
    if (this.#hasLine) process.stderr.write('\r\u001b[2K');
    this.#hasLine = false;
  }

  end(outcome: Readonly<Record<string, unknown>>): void {
    this.endProgress();
    if (!this.json) return;
    process.stdout.write(`${JSON.stringify({ synthetic: true, ...outcome, ...this.#found })}\n`);
  }
}

/** An amount as the API gives it: a decimal string of nano-USD, or nothing. */
export function usd(nanoUsd: string | null): string {
  return nanoUsd === null ? '-' : formatUsd(BigInt(nanoUsd));
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
