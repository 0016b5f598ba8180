import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

const ENTRY = path.resolve(import.meta.dirname, '../../dist/src/main.js');
const START_MS_MAX = 60_000;

/** The built product as a process of its own. */
export interface ShuntProcess {
  readonly child: ChildProcess;
  readonly origin: string;
  /** Everything that it wrote to standard output and standard error so far. */
  output(): string;
  /** Asks it to end, and gives its exit code. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Runs `dist/src/main.js` with this environment and nothing of the test's own; resolves once it listens. */
export async function startShunt(env: Readonly<Record<string, string>>): Promise<ShuntProcess> {
  const { child, output } = spawnShunt(env);
  const origin = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not ready:\n${output()}`)), START_MS_MAX);
    const look = (): void => {
      const found = /Shunt listens on (\S+)[\s\S]*\n\n/.exec(output())?.[1];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    };
    child.stdout?.on('data', look);
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`ended with ${code} at its start:\n${output()}`));
    });
  });
  return {
    child,
    origin,
    output,
    async end(signal = 'SIGTERM') {
      if (child.exitCode !== null) return child.exitCode;
      const ended = once(child, 'exit');
      child.kill(signal);
      const [code] = (await ended) as [number | null];
      return code;
    },
  };
}

/** For a start that is to be refused: the exit code and all that was written. */
export async function failToStart(
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const { child, output } = spawnShunt(env);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output: output() };
}

function spawnShunt(env: Readonly<Record<string, string>>): {
  child: ChildProcess;
  output: () => string;
} {
  const { PATH = '', HOME = '', TMPDIR = '' } = process.env;
  const chunks: Buffer[] = [];
  const child = spawn(process.execPath, ['--enable-source-maps', ENTRY], {
    env: { PATH, HOME, ...(TMPDIR === '' ? {} : { TMPDIR }), PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
  }
  return { child, output: () => Buffer.concat(chunks).toString() };
}
