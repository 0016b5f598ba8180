import { Agent, request } from 'undici';

/** One call: when it began, and how Shunt decided it; null until it is answered. */
interface Sample {
  readonly replica: number;
  /** Monotonic, milliseconds. */
  readonly startedAt: number;
  decision: string | null;
}

const BODY = JSON.stringify({
  model: 'gpt-5.4',
  messages: [{ role: 'user', content: 'Say something short.' }],
});

/** Calls at an even pace, to each replica in turn, whether or not the ones before were answered. */
export class SteadyLoad {
  readonly #agent = new Agent({ connections: 64, pipelining: 1 });
  readonly #timer: NodeJS.Timeout;
  readonly #beganAt = performance.now();
  #samples: Sample[] = [];
  #sent = 0;
  failures = 0;

  constructor(
    private readonly origins: readonly string[],
    private readonly key: string,
    private readonly callsPerSecond: number,
  ) {
    this.#timer = setInterval(() => this.#catchUp(), 1);
  }

  get sent(): number {
    return this.#sent;
  }

  /** Forgets what was before, so that a long run does not grow. */
  forget(): void {
    this.#samples = [];
  }

  /** True when each replica decided its latest calls so: as many as asked for, begun after that moment. */
  allDecide(isWanted: (decision: string) => boolean, count: number, afterMs: number): boolean {
    return this.origins.every((_, replica) => {
      const decided = this.#samples.filter(
        (sample) =>
          sample.replica === replica && sample.startedAt > afterMs && sample.decision !== null,
      );
      const latest = decided.slice(-count);
      return latest.length === count && latest.every(({ decision }) => isWanted(decision!));
    });
  }

  /** When the last call began that was decided so; null where none was. */
  lastStartOf(isMeant: (decision: string) => boolean): number | null {
    const meant = this.#samples.filter(({ decision }) => decision !== null && isMeant(decision));
    return meant.length === 0 ? null : Math.max(...meant.map(({ startedAt }) => startedAt));
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#agent.close();
  }

  #catchUp(): void {
    const due = ((performance.now() - this.#beganAt) / 1_000) * this.callsPerSecond;
    while (this.#sent < due) void this.#call(this.#sent++ % this.origins.length);
  }

  async #call(replica: number): Promise<void> {
    const sample: Sample = { replica, startedAt: performance.now(), decision: null };
    this.#samples.push(sample);
    try {
      const { statusCode, headers, body } = await request(
        `${this.origins[replica]}/v1/chat/completions`,
        {
          method: 'POST',
          dispatcher: this.#agent,
          headers: { authorization: `Bearer ${this.key}`, 'content-type': 'application/json' },
          body: BODY,
        },
      );
      await body.dump();
      if (statusCode !== 200) throw new Error(`answered ${statusCode}`);
      sample.decision = headers['x-shunt-decision'] as string;
    } catch {
      this.failures += 1;
    }
  }
}
