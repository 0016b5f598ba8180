import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MEMBER_ROLES, may } from '../../../src/domain/policy/permissions.js';
import {
  anonymous,
  type AskOptions,
  type DashboardAnswer,
  type DashboardClient,
} from '../../support/dashboard-client.js';
import {
  FOREIGN_SITES,
  bodyOf,
  changes,
  exempt,
  hasParameter,
  methodOf,
  needs,
  ofDashboard,
  open,
  operator,
  pathOf,
  signedIn,
  stranger,
  wordsFor,
  type Route,
} from './route-table.js';
import { startTwoDashboards, type Ids, type TwoDashboards } from './two-dashboards.js';

/**
 * Every route under /api and /admin/api, and who may use it. A NEW ROUTE IS ONE LINE HERE, and fails this file until it
 * has one: its access as the controller marks it, and a body that it would take (so that a refusal has no other
 * reason). Where the body names things of an organization it is a function of their ids. All of the rest follows:
 * nobody without a login, no role without the permission, nothing of another organization, no change from another
 * site (but for `exempt`, which carries a credential of its own). Refusals change nothing; no change listed here is
 * ever carried out.
 */
const ROUTES: Readonly<Record<string, Route>> = {
  // The account
  'GET /api/session': open(),
  'POST /api/login': open({ email: 'nobody@own.test', password: 'wrong password' }),
  'POST /api/logout': open(),
  'GET /api/sessions': signedIn(),
  'DELETE /api/sessions': signedIn(),
  'DELETE /api/sessions/:id': signedIn(),
  'GET /api/account': signedIn(),
  'PATCH /api/account': signedIn(({ orgId }) => ({ organization_id: orgId, reminders: false })),
  'POST /api/account/address/confirm': signedIn({ token: 'x' }),
  'POST /api/account/address/mail': signedIn(),
  'POST /api/account/password': signedIn({ current_password: 'no', new_password: 'long enough' }),
  'POST /api/account/totp': signedIn({ password: 'wrong password' }),
  'POST /api/account/totp/confirm': signedIn({ code: '000000' }),
  'DELETE /api/account/totp': signedIn({ password: 'wrong password' }),
  'POST /api/sign-up': open({
    email: 'new@own.test',
    password: 'long enough',
    organization_name: 'New',
  }),
  'POST /api/password-reset': open({ email: 'owner@own.test' }),
  'POST /api/password-reset/confirm': open({ token: 'x', password: 'long enough' }),
  'POST /api/invitations/accept': open({ token: 'x' }),
  'GET /api/unsubscribe': open(),
  'POST /api/unsubscribe': exempt(),
  'POST /api/session/organization': signedIn(({ orgId }) => ({ organization_id: orgId })),
  'GET /api/permissions': signedIn(),

  // The organization
  'GET /api/organization': needs('organization.read'),
  'PATCH /api/organization': needs('organization.change', { name: 'Renamed', allowed_models: [] }),
  'GET /api/audit': needs('audit.read'),
  'GET /api/audit/head': needs('audit.read'),
  'GET /api/members': needs('organization.read'),
  'PATCH /api/members/:user_id': needs('members.change', { role: 'member' }),
  'DELETE /api/members/:user_id': needs('organization.read'),
  'PATCH /api/organization/security': needs('security.change', { require_totp: true }),
  'GET /api/invitations': needs('members.invite'),
  'POST /api/invitations': needs('members.invite', { email: 'new@own.test', role: 'member' }),
  'DELETE /api/invitations/:id': needs('members.invite'),
  'GET /api/billing': needs('organization.read'),
  'GET /api/billing/plans': needs('organization.read'),
  'POST /api/billing/checkout': needs('billing.change', { price_id: 'pri_1' }),
  'POST /api/billing/portal': needs('billing.change'),
  'POST /api/organization/export': needs('organization.export'),
  'GET /api/organization/deletion': needs('organization.read'),
  'POST /api/organization/deletion': needs('organization.delete', { confirm_name: 'Own' }),
  'DELETE /api/organization/deletion': needs('organization.delete'),

  // What it is made of
  'GET /api/projects': needs('organization.read'),
  'POST /api/projects': needs('projects.change', { name: 'New' }),
  'GET /api/projects/:id': needs('organization.read'),
  'PATCH /api/projects/:id': needs('projects.change', { disabled: true }),
  'GET /api/keys': needs('organization.read'),
  'POST /api/keys': needs('keys.change', ({ projectId }) => ({ project_id: projectId, name: 'n' })),
  'POST /api/keys/:id/rotate': needs('keys.change', { overlap_hours: 0 }),
  'DELETE /api/keys/:id': needs('keys.change'),
  'GET /api/provider-keys': needs('organization.read'),
  'GET /api/provider-keys/:provider': needs('organization.read'),
  'PUT /api/provider-keys/:provider': needs('provider_keys.change', { key: 'sk-of-nobody-0000' }),
  'DELETE /api/provider-keys/:provider': needs('provider_keys.change'),
  'GET /api/prices': needs('organization.read'),
  'POST /api/prices': needs('prices.change', {
    provider: 'openai',
    model: 'gpt-5.4',
    from: '2026-12-01',
    prices: { input: '1.20' },
  }),

  'GET /api/route-rules': needs('organization.read'),
  'POST /api/route-rules': needs('projects.change', ({ projectId }) => ({
    project_id: projectId,
    route_class: '*',
    targets: [{ provider: 'openai', model: 'gpt-6-luna' }],
  })),
  'DELETE /api/route-rules/:id': needs('projects.change'),

  // Its calls
  'GET /api/requests': needs('requests.read'),
  'GET /api/requests/:id': needs('requests.read'),
  'GET /api/usage': needs('requests.read'),

  // What it decides by, and the decision
  'GET /api/observation': needs('reports.read'),
  'GET /api/reports': needs('reports.read'),
  'GET /api/reports/:id': needs('reports.read'),
  'POST /api/reports': needs('reports.create'),
  'GET /api/savings': needs('reports.read'),
  'GET /api/statements': needs('reports.read'),
  'GET /api/statements/:id': needs('reports.read'),
  'POST /api/statements': needs('reports.create', { month: '2020-01' }),
  'GET /api/invoices': needs('reports.read'),
  'GET /api/invoices/check': needs('reports.read'),
  'POST /api/invoices': needs('reports.create'),
  'GET /api/exports/requests.csv': needs('requests.read'),
  'GET /api/exports/audit.csv': needs('audit.read'),
  'POST /api/exports/ledger.csv': needs('reports.read'),
  'POST /api/activation': needs('routing.activate', ({ reportId }) => ({
    confirm: true,
    report_id: reportId,
  })),
  'DELETE /api/activation': needs('routing.deactivate'),
  'POST /api/subscription/cancel': needs('subscription.cancel'),

  // Operators
  'POST /admin/api/login': stranger({ name: 'nobody', secret: 'wrong', totp: '000000' }),
  'POST /admin/api/logout': operator(),
  'GET /admin/api/session': operator(),
  'GET /admin/api/organizations': operator(),
  'GET /admin/api/organizations/:id': operator(),
  'GET /admin/api/organizations/:id/audit': operator(),
  'POST /admin/api/organizations/:id/kill': operator({ reason: 'test' }),
  'POST /admin/api/organizations/:id/release-hold': operator({ reason: 'test' }),
  'POST /admin/api/organizations/:id/suspend': operator({ reason: 'test' }),
  'POST /admin/api/organizations/:id/reinstate': operator({ reason: 'test' }),
  'PATCH /admin/api/organizations/:id/limits': operator({ requests_per_minute: 1 }),
  'PATCH /admin/api/organizations/:id/observation': operator({
    ends_at: '2027-01-01T00:00:00Z',
    reason: 'test',
  }),
  'GET /admin/api/breakers': operator(),
  'GET /admin/api/routing': operator(),
  'PUT /admin/api/routing': operator({ enabled: false, reason: 'test' }),
  'GET /admin/api/audit': operator(),
  'GET /admin/api/mail': operator(),
  'POST /admin/api/mail/:org/:id/resend': operator(),
  'POST /admin/api/mail/:org/:id/link': operator(),
  'GET /admin/api/operators': operator(),
  'POST /admin/api/operators': operator({ name: 'second' }),
  'DELETE /admin/api/operators/:name': operator(),
  'POST /admin/api/operators/:name/rotate': operator({}),
};

const routesWhere = (condition: (route: Route, name: string) => boolean): string[] =>
  Object.keys(ROUTES).filter((name) => condition(ROUTES[name]!, name));

/** Of the right form, and nobody's. */
const NOBODYS_ID = 'a3bb189e-8bf9-4c43-9b3d-7f5ad1b3a9c1';

let rig: TwoDashboards;
let before: Readonly<Record<string, string>>;
let nobody: DashboardClient;
beforeAll(async () => {
  rig = await startTwoDashboards();
  nobody = await anonymous(rig.gateway);
  before = await rig.state();
});
afterAll(() => rig?.stop());

async function ask(
  client: DashboardClient,
  name: string,
  options: AskOptions & { readonly id?: string; readonly ids?: Ids } = {},
): Promise<DashboardAnswer> {
  const body = bodyOf(ROUTES[name]!, options.ids ?? rig.own);
  return client.ask(methodOf(name), pathOf(name, options.id ?? NOBODYS_ID), body, options);
}

/** Refused with this status and code, in the API's one shape, and in words that tell nothing of the other organization. */
function expectRefusal(answer: DashboardAnswer, status: number, code: RegExp | string): void {
  expect(answer.body, answer.text).toEqual({
    error: { code: expect.stringMatching(code) as string, message: expect.any(String) as string },
  });
  expect(answer.status).toBe(status);
  expectNothingForeign(answer);
}

function expectNothingForeign(answer: DashboardAnswer): void {
  for (const sign of [...Object.values(rig.foreign), 'Foreign', 'foreign.test']) {
    expect(answer.text).not.toContain(sign);
  }
}

async function expectNothingChanged(): Promise<void> {
  const was = before;
  // From here on, so that one route that does change something fails alone.
  before = await rig.state();
  expect(before).toEqual(was);
}

test('every route of the dashboard and of the operators is in the table, and every line of it is a route', () => {
  const found = rig.routes.filter((route) => /^[A-Z]+ \/(?:admin\/)?api(?:\/|$)/.test(route));
  const withoutHeads = found.filter((route) => !route.startsWith('HEAD '));
  expect(withoutHeads.toSorted()).toEqual(Object.keys(ROUTES).toSorted());
  const heads = found.filter((route) => route.startsWith('HEAD '));
  expect(heads.every((route) => route.replace('HEAD', 'GET') in ROUTES)).toBe(true);
});

test('the documentation names every route of the dashboard, and who may use it', () => {
  const rows = readFileSync('docs/dashboard-api.md', 'utf8').matchAll(
    /^\| `([A-Z]+ \/api\/[^`]*)` +\| (.+?) +\|/gm,
  );
  const documented = Object.fromEntries([...rows].map(([, name, who]) => [name, who]));
  const inTable = routesWhere(ofDashboard).map((name) => [name, wordsFor(ROUTES[name]!)]);
  expect(documented).toEqual(Object.fromEntries(inTable));
});

describe('without a login', () => {
  test.each(routesWhere(({ kind }) => kind === 'signed_in' || kind === 'member'))(
    '%s is refused',
    async (name) => {
      expectRefusal(await ask(nobody, name), 401, 'not_signed_in');
      // Nothing that is not a session opens it either.
      for (const key of [rig.gateway.projectKey, nobody.csrfToken]) {
        const headers = { authorization: `Bearer ${key}`, 'x-api-key': key };
        expectRefusal(await ask(nobody, name, { headers }), 401, 'not_signed_in');
      }
      const headers = { cookie: rig.operatorCookie };
      expect((await ask(nobody, name, { headers })).status).toBe(401);
      if (changes(name)) return;
      expect((await nobody.ask('HEAD', pathOf(name, NOBODYS_ID))).status).toBe(401);
    },
  );

  test.each(routesWhere(({ kind }, name) => kind === 'open' && !changes(name)))(
    '%s answers, and tells nothing of any organization',
    async (name) => {
      const answer = await ask(nobody, name);
      expect(answer.status).not.toBe(401);
      expectNothingForeign(answer);
      for (const id of Object.values(rig.own)) expect(answer.text).not.toContain(id);
    },
  );
  afterAll(expectNothingChanged);
});

describe('a member', () => {
  test.each(routesWhere(({ kind }) => kind === 'member'))(
    'whose role lacks the permission is refused %s',
    async (name) => {
      const route = ROUTES[name]!;
      if (route.kind !== 'member') throw new Error(route.kind);
      for (const role of MEMBER_ROLES.filter((candidate) => !may(candidate, route.permission))) {
        expectRefusal(await ask(rig.members[role], name), 403, 'not_permitted');
      }
      await expectNothingChanged();
    },
  );

  test.each(routesWhere((route, name) => ofDashboard(route) && !changes(name)))(
    'whose role has the permission may use %s',
    async (name) => {
      const route = ROUTES[name]!;
      const permitted = MEMBER_ROLES.filter(
        (role) => route.kind !== 'member' || may(role, route.permission),
      );
      expect(permitted.length).toBeGreaterThan(0);
      for (const role of permitted) {
        const answer = await ask(rig.members[role], name);
        expect([401, 403], answer.text).not.toContain(answer.status);
        expect(answer.status).toBeLessThan(500);
        expectNothingForeign(answer);
        expect(answer.headers.get('cache-control')).toBe('no-store');
      }
    },
  );
});

describe('of another organization', () => {
  test.each(routesWhere(({ kind }) => kind === 'member'))(
    'nothing is reached by naming it: %s',
    async (name) => {
      for (const id of [rig.foreign.orgId, rig.foreign.orgId.toUpperCase(), NOBODYS_ID, 'x', '']) {
        const headers = { 'x-shunt-organization-id': id === '' ? ' ' : id };
        const answer = await ask(rig.members.owner, name, { headers, ids: rig.foreign });
        expectRefusal(answer, 404, 'unknown_organization');
      }
      await expectNothingChanged();
    },
  );

  test('there is something to be refused: a row in every table that an id names', async () => {
    const ids = await rig.foreignIds();
    expect(ids).toEqual(expect.arrayContaining(Object.values(rig.foreign)));
    // Beside those: two provider keys, an invitation, a request, a session, mail.
    expect(ids.length).toBeGreaterThan(Object.values(rig.foreign).length + 5);
  });

  const named = routesWhere(
    (route, name) =>
      (route.kind === 'member' || route.kind === 'signed_in') &&
      (hasParameter(name) || typeof route.body === 'function'),
  );
  test.each(named)('nothing is reached by its ids: %s', async (name) => {
    const ids = hasParameter(name) ? await rig.foreignIds() : [NOBODYS_ID];
    for (const id of ids) {
      const answer = await ask(rig.members.owner, name, { id, ids: rig.foreign });
      expectRefusal(answer, 404, /^unknown_/);
    }
    await expectNothingChanged();
  });

  test.each(routesWhere((route, name) => ofDashboard(route) && hasParameter(name)))(
    'nor does %s fail over what is no id at all',
    async (name) => {
      for (const id of ['1', "' OR 1=1 --", '\u0000', '..', `${NOBODYS_ID}x`, 'x'.repeat(500)]) {
        const answer = await ask(rig.members.owner, name, { id });
        expect(answer.status, answer.text).toBeGreaterThanOrEqual(400);
        expect(answer.status, answer.text).toBeLessThan(500);
      }
      await expectNothingChanged();
    },
  );
});

describe('from another site', () => {
  test.each(
    routesWhere((route, name) => ofDashboard(route) && route.kind !== 'exempt' && changes(name)),
  )('%s is refused, and so it is without the token of the session', async (name) => {
    const client = ROUTES[name]!.kind === 'open' ? nobody : rig.members.owner;
    for (const headers of FOREIGN_SITES) {
      expectRefusal(await ask(client, name, { headers }), 403, 'not_same_origin');
    }
    const tokens = [null, 'x', nobody.csrfToken, rig.members.admin.csrfToken];
    for (const token of tokens.filter((candidate) => candidate !== client.csrfToken)) {
      const headers = { 'x-csrf-token': token };
      expectRefusal(await ask(client, name, { headers }), 403, 'csrf_failed');
    }
    await expectNothingChanged();
  });
});

describe('the operators', () => {
  const operators = routesWhere(({ kind }) => kind === 'operator');
  const asOperator = (): { cookie: string } => ({ cookie: rig.operatorCookie });

  test.each(operators)(
    '%s is refused without their cookie, and with a member’s session',
    async (name) => {
      const { origin } = rig.gateway;
      const clients = [nobody, ...Object.values(rig.members)];
      for (const client of clients) {
        const id = rig.own.orgId;
        expectRefusal(await ask(client, name, { id }), 401, 'not_signed_in');
      }
      const [, value = ''] = rig.operatorCookie.split('=');
      const forged = [`${value.slice(0, -2)}AA`, value.split('.')[0] ?? '', ''];
      for (const cookie of forged.map((wrong) => `${rig.operatorCookie.split('=')[0]}=${wrong}`)) {
        const headers = { cookie, origin };
        expectRefusal(await ask(nobody, name, { headers }), 401, 'not_signed_in');
      }
      await expectNothingChanged();
    },
  );

  test.each(operators.filter((name) => !changes(name)))('%s answers them', async (name) => {
    const answer = await ask(nobody, name, { id: rig.own.orgId, headers: asOperator() });
    expect(answer.status, answer.text).toBe(200);
  });

  test.each(
    routesWhere(({ kind }, name) => (kind === 'operator' || kind === 'stranger') && changes(name)),
  )('%s is refused from another site', async (name) => {
    for (const headers of FOREIGN_SITES) {
      const given = { ...asOperator(), ...headers };
      const answer = await ask(nobody, name, { id: rig.own.orgId, headers: given });
      expectRefusal(answer, 403, 'not_same_origin');
    }
    await expectNothingChanged();
  });
});

describe('what nobody can use', () => {
  /** In the APIs' one shape: never a failure of ours, never a word of what was sent. */
  function expectUnusable({ status, body, text }: DashboardAnswer): void {
    expect(body, text).toEqual({
      error: { code: expect.any(String) as string, message: expect.any(String) as string },
    });
    expect([400, 404, 414], text).toContain(status);
    expect(text).not.toContain('unusable');
  }

  test.each(routesWhere((_, name) => changes(name)))('is refused by %s', async (name) => {
    const route = ROUTES[name]!;
    const needsMember = route.kind === 'member' || route.kind === 'signed_in';
    const client = needsMember ? rig.members.owner : nobody;
    const headers: Readonly<Record<string, string>> = ofDashboard(route)
      ? {}
      : { cookie: rig.operatorCookie };
    const send = (body: unknown, more: Readonly<Record<string, string>> = {}) =>
      client.ask(methodOf(name), pathOf(name, rig.own.orgId), body, {
        headers: { ...headers, ...more },
      });
    const body = bodyOf(route, rig.own) ?? {};
    for (const [field, value] of Object.entries(body)) {
      if (typeof value !== 'string') continue;
      expectUnusable(await send({ ...body, [field]: `${value}\0unusable` }));
    }
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    expectUnusable(await send('unusable=1&__proto__=1', form));
    await expectNothingChanged();
  });

  test.each([
    '/api/unusable',
    '/admin/api/unusable',
    '/unusable?key=unusable',
    '/api/projects/unusable%ff',
    '/admin/api/organizations/%unusable',
    `/api/projects/${'unusable'.repeat(100)}`,
  ])('as a path is refused: %.40s', async (path) => {
    expectUnusable(await nobody.get(path));
  });

  test.each([
    'GET /admin/api/organizations?search=%00',
    'DELETE /admin/api/operators/a%00b',
    'POST /admin/api/operators/%00/rotate',
  ])('is no name: %s', async (route) => {
    const [method = '', path = ''] = route.split(' ');
    const headers = { cookie: rig.operatorCookie };
    expectUnusable(await nobody.ask(method, path, undefined, { headers }));
  });
});
