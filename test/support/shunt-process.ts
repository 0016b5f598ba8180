import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

const ENTRY = path.resolve(import.meta.dirname, '../../dist/src/main.js');
const START_MS_MAX = 60_000;
const END_MS_MAX = 60_000;

/** The built product as a process of its own. */
export interface ShuntProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly origin: string;
  /** Everything that it wrote to standard output and standard error so far. */
  output(): string;
  /** The structured lines of that. */
  logLines(): Record<string, unknown>[];
  /** Resolves with its exit code once it has ended, for whatever reason; null after a signal. */
  readonly ended: Promise<number | null>;
  /** Asks it to end (`SIGKILL`: ends it), and gives its exit code. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

/** A test that is cut short leaves none of them running. */
const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill();
});

/** Runs `dist/src/main.js` with this environment and nothing of the test's own; resolves once it listens. */
export async function startShunt(env: Readonly<Record<string, string>>): Promise<ShuntProcess> {
  const { child, output, ended } = spawnShunt(env);
  const origin = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`not ready:\n${output()}`));
    }, START_MS_MAX);
    const look = (): void => {
      const found = /Shunt listens on (\S+)[\s\S]*\n\n/.exec(output())?.[1];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    };
    child.stdout?.on('data', look);
    void ended.then((code) => {
      clearTimeout(timer);
      reject(new Error(`ended with ${code} at its start:\n${output()}`));
    });
  });
  return {
    child,
    pid: child.pid!,
    origin,
    output,
    logLines: () => structured(output()),
    ended,
    end: (signal = 'SIGTERM') => endBy(signal, child, ended),
  };
}

/** For a start that is to be refused: the exit code and all that was written. */
export async function failToStart(
  env: Readonly<Record<string, string>>,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const { output, ended } = spawnShunt(env);
  return { code: await ended, output: output() };
}

interface Spawned {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<number | null>;
}

/** For a start that is to be disturbed; `startShunt` otherwise. */
export function spawnShunt(env: Readonly<Record<string, string>>): Spawned {
  const { PATH = '', HOME = '', TMPDIR = '' } = process.env;
  const chunks: Buffer[] = [];
  const child = spawn(process.execPath, ['--enable-source-maps', ENTRY], {
    env: { PATH, HOME, ...(TMPDIR === '' ? {} : { TMPDIR }), PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
  }
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return { child, output: () => Buffer.concat(chunks).toString(), ended };
}

async function endBy(
  signal: NodeJS.Signals,
  child: ChildProcess,
  ended: Promise<number | null>,
): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, END_MS_MAX);
  child.kill(signal);
  const code = await ended;
  clearTimeout(timer);
  if (late) throw new Error(`It did not end within ${END_MS_MAX} ms of ${signal}.`);
  return code;
}

function structured(output: string): Record<string, unknown>[] {
  const lines = output.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}
