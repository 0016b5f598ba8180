import type { ParseArgsOptionsConfig } from 'node:util';
import type { Arguments } from './arguments.js';
import type { Session } from './session.js';

/** `json` is what `--json` prints; `text` is for people. */
export interface Output {
  readonly json: unknown;
  readonly text: string;
  /** Where the command did what it should, and what it found is not as it should be. */
  readonly exitCode?: 1;
}

export interface Command {
  /** `keys create`, or one word. */
  readonly name: string;
  readonly summary: string;
  /** One line per argument, shown by `--help`. */
  readonly usage: readonly string[];
  readonly options: ParseArgsOptionsConfig;
  /** How many positional arguments it takes. */
  readonly positionals?: number;
  /** Where it needs no database with these arguments: it must work with everything else down. Null where it does. */
  runAlone?(args: Arguments): Promise<Output> | null;
  run(session: Session, args: Arguments): Promise<Output>;
}
