import { expect } from 'vitest';
import type { Target } from '../../../src/domain/routing/decision.js';
import type { Provider } from '../../../src/domain/routing/provider.js';
import { replay } from '../../../src/domain/routing/replay.js';
import type { LedgerEntry } from '../../../src/domain/savings/ledger-entry.js';
import type { SubscriptionEvent } from '../../../src/domain/subscription/transitions.js';
import type { UpstreamLimits } from '../../../src/gateway/stages/forward.js';
import type { OrganizationChanges } from '../../../src/modules/organizations/organization.service.js';
import type { ProjectChanges } from '../../../src/modules/projects/project.js';
import type { CallRecord } from '../../../src/modules/records/call-record.js';
import { SecretBox } from '../../../src/platform/crypto/secret-box.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { ACTOR, addOrganization, type Tenant } from '../../support/tenants.js';
import { until } from '../reliability/until.js';

export const OWNER = { kind: 'member', id: 'test', role: 'owner' } as const;
const OPERATOR = { kind: 'operator', name: 'test' } as const;

/** In the form that each provider's own SDK takes. */
export type BaseUrls = Readonly<Record<Provider, string>>;

export const KEYS: Readonly<Record<Provider, string>> = {
  openai: 'sk-openai',
  anthropic: 'sk-ant',
  google: 'AIza',
  groq: 'gsk',
};

const SETTLED_MS_MAX = 10_000;

/** What Shunt said of an answer, in its headers. */
export interface Said {
  readonly requestId: string;
  readonly decision: string | null;
  readonly requested: string | null;
  readonly served: string | null;
}

export function saidIn(headers: { get(name: string): string | null }): Said {
  return {
    requestId: headers.get('x-shunt-request-id') ?? '',
    decision: headers.get('x-shunt-decision'),
    requested: headers.get('x-shunt-requested-model'),
    served: headers.get('x-shunt-served-model'),
  };
}

/** A gateway whose organizations route. */
export class RoutingRig {
  private constructor(readonly gateway: TestGateway) {}

  static async start(urls: BaseUrls, limits: Partial<UpstreamLimits> = {}): Promise<RoutingRig> {
    const gateway = await startGateway({
      env: {
        OPENAI_BASE_URL: urls.openai,
        ANTHROPIC_BASE_URL: urls.anthropic,
        GOOGLE_BASE_URL: urls.google,
        GROQ_BASE_URL: urls.groq,
        OPENAI_API_KEY: KEYS.openai,
      },
      limits,
    });
    return new RoutingRig(gateway);
  }

  /** Every provider at one upstream. */
  static startAt(origin: string, limits?: Partial<UpstreamLimits>): Promise<RoutingRig> {
    const urls = { openai: `${origin}/v1`, anthropic: origin, google: origin, groq: origin };
    return RoutingRig.start(urls, limits);
  }

  /** Before it ends, every decision of every organization is made again. */
  async stop(): Promise<void> {
    try {
      const { organizations } = this.gateway.app.engine.services;
      for (const { id } of await organizations.list()) await this.records({ orgId: id });
    } finally {
      await this.gateway.stop();
    }
  }

  /** An organization in `active`, with a key of each provider; of its sessions none is left alone for comparison. */
  async activeTenant(name: string, settings: ProjectChanges = {}): Promise<Tenant> {
    const tenant = await this.observingTenant(name, settings);
    await this.apply(tenant, 'activate');
    return tenant;
  }

  async observingTenant(name: string, settings: ProjectChanges = {}): Promise<Tenant> {
    const { database, config } = this.gateway.app.engine;
    const tenant = await addOrganization(
      database,
      new SecretBox(config.encryptionKeys),
      name,
      KEYS,
    );
    await this.setOrganization(tenant, { controlShareBp: 0 });
    await this.setProject(tenant, settings);
    return tenant;
  }

  async apply(tenant: Tenant, event: SubscriptionEvent): Promise<void> {
    const { subscriptions } = this.gateway.app.engine.services;
    const actor = event === 'activate' ? OWNER : OPERATOR;
    const applied = await subscriptions.apply(tenant.orgId, { event, actor });
    if (applied.kind !== 'changed') throw new Error(`${event}: ${applied.kind}`);
    await this.caughtUp(tenant);
  }

  async setProject(tenant: Tenant, changes: ProjectChanges): Promise<void> {
    const { projects } = this.gateway.app.engine.services;
    await projects.update(tenant.orgId, tenant.projectId, changes, ACTOR);
    await this.caughtUp(tenant);
  }

  async setOrganization(tenant: Tenant, changes: OrganizationChanges): Promise<void> {
    const { organizations } = this.gateway.app.engine.services;
    await organizations.update(tenant.orgId, changes, ACTOR);
    await this.caughtUp(tenant);
  }

  async rule(tenant: Tenant, targets: readonly Target[], routeClass = '*'): Promise<string> {
    const { routeRules } = this.gateway.app.engine.services;
    const fields = { projectId: tenant.projectId, routeClass, targets };
    const set = await routeRules.set(tenant.orgId, fields, OWNER);
    if (set.kind !== 'set') throw new Error(set.kind);
    await this.caughtUp(tenant);
    return set.rule.id;
  }

  async chat(
    tenant: Tenant,
    body: object | string,
    headers: Readonly<Record<string, string>> = {},
    path = '/v1/chat/completions',
  ): Promise<Said & { readonly status: number; readonly text: string }> {
    const answer = await fetch(this.gateway.origin + path, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${tenant.apiKey}`,
        'content-type': 'application/json',
        ...headers,
      },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await answer.text();
    return { ...saidIn(answer.headers), status: answer.status, text };
  }

  /** The organization's records, each decision of them made again from what is stored. */
  async records({ orgId }: Pick<Tenant, 'orgId'>): Promise<CallRecord[]> {
    const { recorder, database } = this.gateway.app.engine;
    if (!(await recorder.flush(20_000))) throw new Error('records were not written in time');
    const [refused] = await recorder.deadLetters.read().catch(() => []);
    if (refused !== undefined) throw new Error(`the database refused a record: ${refused.reason}`);
    const rows = await database.tenant(orgId, (q) =>
      q.query<CallRecord>('SELECT * FROM request_log ORDER BY started_at, request_id'),
    );
    for (const { routing } of rows) {
      if (routing) expect(replay(routing)).toEqual(routing.decision);
    }
    return rows;
  }

  async record(tenant: Tenant, { requestId }: Pick<Said, 'requestId'>): Promise<CallRecord> {
    const found = (await this.records(tenant)).filter((row) => row.request_id === requestId);
    if (found.length !== 1) throw new Error(`${found.length} records of ${requestId}`);
    return found[0]!;
  }

  async ledger(tenant: Tenant, said?: Pick<Said, 'requestId'>): Promise<LedgerEntry[]> {
    await this.records(tenant);
    const rows = await this.gateway.app.engine.database.tenant(tenant.orgId, (q) =>
      q.query<LedgerEntry>('SELECT * FROM savings_ledger ORDER BY seq'),
    );
    return said === undefined ? rows : rows.filter((row) => row.request_id === said.requestId);
  }

  /** The replica knows what the database knows. */
  private async caughtUp({ orgId, apiKey }: Tenant): Promise<void> {
    const { database, principals } = this.gateway.app.engine;
    const [row] = await database.directory((q) =>
      q.query<{ version: string }>('SELECT version FROM tenancy_changes WHERE org_id = $1', [
        orgId,
      ]),
    );
    const version = Number(row?.version ?? 0);
    await until('the replica follows', SETTLED_MS_MAX, async () => {
      const found = await principals.find(apiKey);
      if (found.kind !== 'known') return false;
      return principals.isSettled && found.principal.standing.version >= version;
    });
  }
}
