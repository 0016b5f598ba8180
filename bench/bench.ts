import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { startMeasured, type Measured } from './processes.js';

/**
 * What a call through Shunt costs (observation, everything on), beside a bare relay and the upstream itself. The three
 * take turns within one run, so that the machine's moods fall on all alike.
 */
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    concurrency: { type: 'string', default: '16' },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (options.help) {
  console.log('npm run bench -- [--rounds 7] [--concurrency 16] [--only stream] [--json]');
  process.exit(0);
}

interface Scenario {
  readonly name: string;
  readonly body: string;
  /** Calls per turn, chosen so that a turn takes about half a second. */
  readonly calls: number;
}

const message = (content: string) => ({ role: 'user', content });
const paragraph = 'The quick brown fox jumps over the lazy dog, and says "good morning".\n';
const SCENARIOS: readonly Scenario[] = [
  {
    name: '1 KB call',
    body: JSON.stringify({ model: 'gpt-5.4', messages: [message(paragraph.repeat(14))] }),
    calls: 2_000,
  },
  {
    name: '200 KB call',
    body: JSON.stringify({
      model: 'gpt-5.4',
      messages: Array.from({ length: 20 }, () => message(paragraph.repeat(140))),
    }),
    calls: 600,
  },
  {
    name: '100-chunk stream',
    body: JSON.stringify({
      model: 'gpt-5.4',
      stream: true,
      messages: [message(paragraph.repeat(14))],
    }),
    calls: 300,
  },
];

const KEY = 'shunt_bench_key_0123456789abcdef';

interface Turn {
  readonly cpuUsPerCall: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const targets = await startAll();
try {
  await measureAll(targets.list);
} finally {
  await targets.stop();
}

async function startAll(): Promise<{ list: Measured[]; stop(): Promise<void> }> {
  const dist = path.resolve(import.meta.dirname, '..');
  const dataDir = mkdtempSync(path.join(tmpdir(), 'shunt-bench-'));
  const upstream = await startMeasured('upstream', path.join(dist, 'bench/upstream.js'), {});
  const relay = await startMeasured('relay', path.join(dist, 'bench/relay.js'), {
    UPSTREAM: upstream.origin,
  });
  const shunt = await startMeasured('shunt', path.join(dist, 'src/main.js'), {
    NODE_ENV: 'development',
    PORT: '0',
    LOG_LEVEL: 'warn',
    SHUNT_DATA_DIR: dataDir,
    SHUNT_ORG_RATE_LIMIT: '10000000',
    SHUNT_BOOTSTRAP_PROJECT_KEY: KEY,
    OPENAI_BASE_URL: `${upstream.origin}/v1`,
    OPENAI_API_KEY: 'upstream-key',
  });
  const list = [upstream, relay, shunt];
  const stop = async (): Promise<void> => {
    for (const measured of list.toReversed()) await measured.stop();
    rmSync(dataDir, { recursive: true, force: true });
  };
  return { list, stop };
}

async function measureAll(list: readonly Measured[]): Promise<void> {
  const rounds = Number(options.rounds);
  const rows: Record<string, unknown>[] = [];
  for (const scenario of SCENARIOS.filter(({ name }) => name.includes(options.only))) {
    const loaded = await takeTurns(list, scenario, rounds, Number(options.concurrency));
    const alone = await takeTurns(
      list,
      { ...scenario, calls: Math.ceil(scenario.calls / 4) },
      rounds,
      1,
    );
    rows.push(rowOf(scenario.name, loaded, alone));
  }
  if (options.json) console.log(JSON.stringify(rows));
  else {
    console.log(
      'Medians over rounds. CPU: of the process, per call. Added: over the upstream called directly, one call at a time.',
    );
    console.table(rows);
  }
}

function rowOf(scenario: string, loaded: Map<string, Turn[]>, alone: Map<string, Turn[]>) {
  const cpu = (name: string) => median(loaded.get(name)!.map((turn) => turn.cpuUsPerCall));
  const ratios = loaded
    .get('shunt')!
    .map((turn, i) => turn.cpuUsPerCall / loaded.get('relay')![i]!.cpuUsPerCall);
  const added = (name: string, figure: 'p50Ms' | 'p99Ms') => {
    const over = alone
      .get(name)!
      .map((turn, i) => turn[figure] - alone.get('upstream')![i]![figure]);
    return Math.round(median(over) * 1_000);
  };
  return {
    scenario,
    'upstream CPU us': Math.round(cpu('upstream')),
    'relay CPU us': Math.round(cpu('relay')),
    'shunt CPU us': Math.round(cpu('shunt')),
    'shunt / relay': Number(median(ratios).toFixed(2)),
    'relay added p50 us': added('relay', 'p50Ms'),
    'shunt added p50 us': added('shunt', 'p50Ms'),
    'relay added p99 us': added('relay', 'p99Ms'),
    'shunt added p99 us': added('shunt', 'p99Ms'),
  };
}

async function takeTurns(
  list: readonly Measured[],
  scenario: Scenario,
  rounds: number,
  concurrency: number,
): Promise<Map<string, Turn[]>> {
  const turns = new Map<string, Turn[]>(list.map(({ name }) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (const measured of list) {
      const turn = await takeTurn(measured, scenario, concurrency);
      // The first round warms up.
      if (round >= 0) turns.get(measured.name)!.push(turn);
    }
    process.stderr.write(
      `\r${scenario.name}, ${concurrency} at a time: round ${round + 1} of ${rounds}   `,
    );
  }
  process.stderr.write('\n');
  return turns;
}

async function takeTurn(
  measured: Measured,
  scenario: Scenario,
  concurrency: number,
): Promise<Turn> {
  const pool = new Pool(measured.origin, { connections: concurrency, pipelining: 1 });
  const headers = {
    'content-type': 'application/json',
    authorization: `Bearer ${KEY}`,
    'user-agent': 'bench',
  };
  const latencies: number[] = [];
  let left = scenario.calls;
  const before = measured.cpuNs();
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const began = performance.now();
      const answer = await pool.request({
        method: 'POST',
        path: '/v1/chat/completions',
        headers,
        body: scenario.body,
      });
      await answer.body.dump({ limit: Number.MAX_SAFE_INTEGER });
      if (answer.statusCode !== 200)
        throw new Error(`${measured.name} answered ${answer.statusCode}`);
      latencies.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  const cpuNs = measured.cpuNs() - before;
  await pool.close();
  latencies.sort((a, b) => a - b);
  return {
    cpuUsPerCall: cpuNs / 1_000 / scenario.calls,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
  };
}

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}

function median(values: readonly number[]): number {
  return quantile(
    values.toSorted((a, b) => a - b),
    0.5,
  );
}
