import { parseArgs } from 'node:util';

export interface DemoOptions {
  readonly kind: 'options';
  /** Prompts, one JSON object a line; null makes some up. */
  readonly file: string | null;
  /** Calls of the applications, in observation and routed together; single chapters add some of their own. */
  readonly calls: number;
  readonly json: boolean;
}

export type ParsedDemo =
  | DemoOptions
  | { readonly kind: 'help' }
  /** `message` says what to write instead. */
  | { readonly kind: 'wrong'; readonly message: string };

const CALLS_DEFAULT = 600;
/** Fewer may bring no session of the control group. */
const CALLS_MIN = 200;
const CALLS_MAX = 20_000;

export const HELP = `Tells the product's story from beginning to end on this machine, with a simulation of the providers: observation,
report, routing, faults, wishes, the kill switch, and the proof of the ledger.

  npm run demo
  npm run demo -- --file prompts.jsonl.gz --calls 1000

It starts everything that it needs on the loopback interface, with its data in a temporary directory, and leaves nothing
behind, also after Ctrl-C. It takes no variable of the environment and calls no real provider, so it costs nothing.
Every figure is read from the product's own interfaces; a step that does not show what it should ends the demo with
exit code 1.

  --file PATH   prompts, one JSON object a line with a "prompt" (.gz is unpacked); without it some are made up
  --calls N     calls of the applications, from ${CALLS_MIN} to ${CALLS_MAX} (default ${CALLS_DEFAULT})
  --json        everything that was found, as JSON on the standard output
  --help        this text

What is simulated, and what is not: docs/demo.md
`;

export function parseDemo(args: readonly string[]): ParsedDemo {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        file: { type: 'string' },
        calls: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help === true) return { kind: 'help' };
    const calls = Number(values.calls ?? CALLS_DEFAULT);
    if (!Number.isInteger(calls) || calls < CALLS_MIN || calls > CALLS_MAX) {
      return { kind: 'wrong', message: `--calls is a number from ${CALLS_MIN} to ${CALLS_MAX}.` };
    }
    return { kind: 'options', file: values.file ?? null, calls, json: values.json === true };
  } catch (error) {
    const message = error instanceof Error ? error.message : 'The command line cannot be read.';
    return { kind: 'wrong', message };
  }
}
