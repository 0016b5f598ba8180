import { startSandbox, type Sandbox } from '../../src/sandbox/server.js';
import type { RequestTrace, SandboxStats } from '../../src/sandbox/stats.js';

/** Any key works on the sandbox; this one is the tests'. */
export const SANDBOX_KEY = 'sk-sandbox-test';

/** A sandbox on a free port of the loopback interface; `close()` it when done. */
export function startTestSandbox(): Promise<Sandbox> {
  return startSandbox({ environment: 'test' });
}

/** The counts of a running sandbox, wherever it runs. */
export async function readStats(origin: string): Promise<SandboxStats> {
  const response = await fetch(`${origin}/__sandbox/stats`);
  return (await response.json()) as SandboxStats;
}

const WAIT_MS_MAX = 10_000;
const POLL_MS = 10;

/** The newest request that fits, as soon as there is one; throws when none came within ten seconds. */
export async function awaitTrace(
  origin: string,
  fits: (trace: RequestTrace) => boolean,
): Promise<RequestTrace> {
  const deadlineMs = Date.now() + WAIT_MS_MAX;
  while (Date.now() < deadlineMs) {
    const { recent } = await readStats(origin);
    const found = recent.findLast(fits);
    if (found !== undefined) return found;
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
  throw new Error('No request of this kind reached the sandbox in time.');
}
