/** Answers, or rejects where it does not. */
export type Probe = () => Promise<void>;

export interface ReadinessState {
  readonly status: 'ready' | 'degraded';
  readonly dependencies: Readonly<Record<string, 'up' | 'down'>>;
}

const PROBE_MS_MAX = 2_000;

/** Asks each dependency, each within a limit. */
export class Readiness {
  constructor(private readonly probes: Readonly<Record<string, Probe>>) {}

  async check(): Promise<ReadinessState> {
    const asked = Object.entries(this.probes).map(
      async ([name, probe]) => [name, await answers(probe)] as const,
    );
    const dependencies = Object.fromEntries(await Promise.all(asked));
    const isReady = Object.values(dependencies).every((state) => state === 'up');
    return { status: isReady ? 'ready' : 'degraded', dependencies };
  }
}

async function answers(probe: Probe): Promise<'up' | 'down'> {
  const late = new Promise<'down'>((resolve) => {
    setTimeout(() => resolve('down'), PROBE_MS_MAX).unref();
  });
  const asked = probe().then(
    () => 'up' as const,
    () => 'down' as const,
  );
  return Promise.race([asked, late]);
}
