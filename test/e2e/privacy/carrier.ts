import { Database } from '../../../src/platform/postgres/database.js';
import { withConnection } from '../../../src/platform/postgres/single-connection.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import type { CapturingUpstream } from '../../support/capturing-upstream.js';
import { randomUnit, type Needle } from '../../support/leak-hunt.js';
import { addOrganization, addProject, type Tenant } from '../../support/tenants.js';
import { call, type Answered } from './call.js';
import { startMouthpiece } from './mouthpiece.js';
import { steering, type Caller, type Scenario } from './scenarios.js';
import type { Environment, Target } from './target.js';

/** A scenario that was played. */
export interface Played {
  readonly scenario: Scenario;
  readonly answered: Answered;
  /** As the record of the call has it, where the call got as far as the provider. */
  readonly customerId: string;
}

export interface Recorded {
  readonly requestId: string;
  readonly orgId: string;
  readonly outcome: string;
  readonly metering: string;
  readonly customerId: string | null;
}

const RECORDS_MS_MAX = 10_000;
const POLL_MS = 50;

/** Keys of the installation, each long and of nobody else's making. */
export function inventedKeys(): Environment {
  const key = (prefix: string): string => prefix + Array.from({ length: 5 }, randomUnit).join('');
  return {
    OPENAI_API_KEY: key('sk-proj-'),
    ANTHROPIC_API_KEY: key('sk-ant-'),
    GEMINI_API_KEY: key('AIza'),
    GROQ_API_KEY: key('gsk_'),
    SHUNT_METRICS_TOKEN: key('metrics-'),
    SHUNT_BOOTSTRAP_PROJECT_KEY: key('shunt_'),
  };
}

/** Carries canaries through a running installation, one scenario at a time, and remembers what it carried. */
export class Carrier {
  readonly played: Played[] = [];
  readonly needles: Needle[] = [];

  private constructor(
    readonly target: Target,
    readonly upstream: CapturingUpstream,
    private readonly database: Database,
    private readonly callers: Readonly<Record<Exclude<Caller, 'nobody'>, string>>,
    /** Another organization, which has nothing to do with any scenario. */
    readonly other: Tenant,
  ) {}

  /** `start` is given the variables that send the providers' calls to the upstream here. */
  static async start(
    keys: Environment,
    start: (env: Environment) => Promise<Target>,
  ): Promise<Carrier> {
    const upstream = await startMouthpiece();
    const { origin } = upstream;
    const target = await start({
      ...keys,
      OPENAI_BASE_URL: `${origin}/v1`,
      ANTHROPIC_BASE_URL: origin,
      GOOGLE_BASE_URL: origin,
      GROQ_BASE_URL: origin,
    });
    const { logins, secretBox } = target;
    const logger = createLogger('silent');
    const database = await Database.connect({ url: logins.runtimeUrl, logger, poolSize: 2 });
    const other = await addOrganization(database, secretBox, 'Other', {
      openai: 'sk-other-organization',
    });
    const usual = keys['SHUNT_BOOTSTRAP_PROJECT_KEY'] ?? '';
    const orgId = await orgOf(target.origin, usual);
    const strict = await addProject(database, orgId, {
      name: 'strict',
      strict: true,
      allowedPaths: ['openai:/files*'],
    });
    const restricted = await addProject(database, orgId, {
      name: 'restricted',
      allowedModels: ['gpt-4.1'],
      bodyLimitBytes: 3_000,
    });
    const made = { strict: strict.apiKey, restricted: restricted.apiKey, other: other.apiKey };
    const carrier = new Carrier(target, upstream, database, { usual, ...made }, other);
    for (const [name, text] of [...Object.entries(keys), ...Object.entries(made)]) {
      carrier.needles.push({ name: `the key ${name}`, text });
    }
    return carrier;
  }

  async play(scenario: Scenario): Promise<Answered> {
    const unit = randomUnit();
    this.needles.push({ name: scenario.name, text: unit, repeated: true });
    const customerId = `scenario ${this.played.length}`;
    const sent = scenario.sent(unit);
    const { headers, query } = this.credential(scenario, unit);
    const answered = await call(this.target.origin, {
      ...sent,
      path: sent.path + (query === '' ? '' : `${sent.path.includes('?') ? '&' : '?'}${query}`),
      headers: {
        'content-type': 'application/json',
        ...steering(scenario, unit),
        'x-shunt-customer-id': customerId,
        ...headers,
        ...sent.headers,
      },
    });
    this.played.push({ scenario, answered, customerId });
    return answered;
  }

  /** A prompt without any steering, as somebody else sends it. */
  callAs(key: string, path: string, body?: string): Promise<Answered> {
    return call(this.target.origin, {
      method: body === undefined ? 'GET' : 'POST',
      path,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body,
    });
  }

  keyOf(caller: Exclude<Caller, 'nobody'>): string {
    return this.callers[caller];
  }

  /** Every record there is, as soon as each of these calls has one. */
  async records(calls: readonly Played[] = this.played): Promise<readonly Recorded[]> {
    const expected = calls.filter(({ scenario }) => scenario.outcomes !== null);
    const deadline = Date.now() + RECORDS_MS_MAX;
    for (;;) {
      const rows = await this.allRecords();
      const isThere = (played: Played): boolean => recordsOf(played, rows).length > 0;
      if (expected.every(isThere) || Date.now() > deadline) return rows;
      await new Promise((resolve) => {
        setTimeout(resolve, POLL_MS);
      });
    }
  }

  async stop(): Promise<void> {
    await this.database.close();
    await this.target.stop();
    await this.upstream.close();
  }

  private allRecords(): Promise<Recorded[]> {
    const options = { url: this.target.logins.superuserUrl, statementTimeoutMs: 10_000 };
    return withConnection(options, (q) =>
      q.query<Recorded>(
        `SELECT request_id AS "requestId", org_id AS "orgId", outcome, metering,
                customer_id AS "customerId" FROM request_log ORDER BY request_id`,
      ),
    );
  }

  /** Where the SDK of this interface puts its key; Google's own place is the query. */
  private credential(
    { caller, dialect }: Scenario,
    unit: string,
  ): { headers: Record<string, string>; query: string } {
    const key = caller === 'nobody' ? `shunt_${unit.repeat(3)}` : this.callers[caller];
    if (dialect === 'google generateContent') return { headers: {}, query: `key=${key}` };
    if (dialect === 'anthropic messages') return { headers: { 'x-api-key': key }, query: '' };
    return { headers: { authorization: `Bearer ${key}` }, query: '' };
  }
}

/** By the id that the answer named, or else by the customer that the call named. */
export function recordsOf(
  { answered, customerId }: Played,
  records: readonly Recorded[],
): readonly Recorded[] {
  const { requestId } = answered;
  return records.filter((record) =>
    requestId === null ? record.customerId === customerId : record.requestId === requestId,
  );
}

async function orgOf(origin: string, key: string): Promise<string> {
  const headers = { authorization: `Bearer ${key}` };
  const { body } = await call(origin, { method: 'GET', path: '/shunt/v1/project', headers });
  return (JSON.parse(body) as { organization_id: string }).organization_id;
}
