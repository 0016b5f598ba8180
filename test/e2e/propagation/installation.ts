import { randomBytes } from 'node:crypto';
import { request } from 'undici';
import type { Actor } from '../../../src/domain/subscription/actor.js';
import type { SubscriptionEvent } from '../../../src/domain/subscription/transitions.js';
import { SubscriptionService } from '../../../src/modules/subscriptions/subscription.service.js';
import { systemClock } from '../../../src/platform/clock.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import { Database } from '../../../src/platform/postgres/database.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import type { Sandbox } from '../../../src/sandbox/server.js';
import { SANDBOX_KEY } from '../../support/sandbox.js';
import { addOrganization, type Tenant } from '../../support/tenants.js';
import { until } from '../reliability/until.js';

const OWNER: Actor = { kind: 'member', id: 'test', role: 'owner' };
const OPERATOR: Actor = { kind: 'operator', name: 'test' };
const ACTORS: Partial<Record<SubscriptionEvent, Actor>> = {
  activate: OWNER,
  deactivate: OWNER,
  cancel: OWNER,
  close_window: { kind: 'job', name: 'test' },
  payment_past_due: { kind: 'billing', source: 'webhook' },
};

/** The database of an installation, as owners and operators change what is in it. */
export class Installation {
  readonly encryptionKey = randomBytes(32);
  #database: Database | null = null;

  /** What every replica of it is started with. */
  env(sandbox: Sandbox): Readonly<Record<string, string>> {
    return {
      SHUNT_ENCRYPTION_KEY: this.encryptionKey.toString('base64'),
      OPENAI_BASE_URL: sandbox.baseUrls.openai,
      OPENAI_API_KEY: SANDBOX_KEY,
    };
  }

  /** Once a replica has migrated it. */
  async connect(runtimeUrl: string): Promise<void> {
    const logger = createLogger('silent');
    this.#database = await Database.connect({ url: runtimeUrl, logger, poolSize: 2 });
  }

  get database(): Database {
    if (this.#database === null) throw new Error('not connected');
    return this.#database;
  }

  async close(): Promise<void> {
    await this.#database?.close();
  }

  async tenant(name: string): Promise<Tenant> {
    const secretBox = new SecretBox({ current: this.encryptionKey, previous: null });
    return addOrganization(this.database, secretBox, name, { openai: SANDBOX_KEY });
  }

  async apply(orgId: string, ...events: SubscriptionEvent[]): Promise<void> {
    const subscriptions = new SubscriptionService(this.database, systemClock, async () => 'off');
    for (const event of events) {
      const applied = await subscriptions.apply(orgId, { event, actor: ACTORS[event] ?? OPERATOR });
      if (applied.kind !== 'changed') throw new Error(`${event}: ${applied.kind}`);
    }
  }

  async setGlobalRouting(enabled: boolean): Promise<void> {
    await this.database.query('SELECT set_global_routing($1, now(), $2, $3, $4)', [
      enabled,
      'operator',
      'test',
      'a test',
    ]);
  }
}

export interface Answer {
  readonly status: number;
  readonly decision: string | undefined;
  readonly mode: string | undefined;
}

/** One call, with what Shunt said of it. */
export async function call(origin: string, key: string): Promise<Answer> {
  const { statusCode, headers, body } = await request(`${origin}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'gpt-5.4-mini',
      messages: [{ role: 'user', content: 'Say something short.' }],
    }),
  });
  await body.dump();
  const text = (name: string): string | undefined => headers[name] as string | undefined;
  return { status: statusCode, decision: text('x-shunt-decision'), mode: text('x-shunt-mode') };
}

/** How long it took until each of the replicas decides so; none of the calls in between is blocked. */
export async function decides(
  decision: 'abstain' | 'passthrough',
  origins: readonly string[],
  key: string,
  limitMs: number,
): Promise<number> {
  const taken = origins.map((origin) =>
    until(`a call is decided ${decision}`, limitMs, async () => {
      const answer = await call(origin, key);
      if (answer.status !== 200) throw new Error(`a call was answered ${answer.status}`);
      return answer.decision === decision;
    }),
  );
  return Math.max(...(await Promise.all(taken)));
}
