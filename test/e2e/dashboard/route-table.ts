import type { Permission } from '../../../src/domain/policy/permissions.js';
import type { AskOptions } from '../../support/dashboard-client.js';
import type { Ids } from './two-dashboards.js';

/** A body that the route would take; a function where it names things of an organization. */
export type ExampleBody = Readonly<Record<string, unknown>> | ((ids: Ids) => object);

/** Who may use a route. */
export type Route =
  /** Anybody, without a session. */
  | { readonly kind: 'open'; readonly body?: ExampleBody }
  /** Anybody from anywhere, because the request carries a credential that no other site has: a token from a mail. */
  | { readonly kind: 'exempt'; readonly body?: ExampleBody }
  /** Any user; nothing of an organization. */
  | { readonly kind: 'signed_in'; readonly body?: ExampleBody }
  /** Members of the organization whose role has the permission. */
  | { readonly kind: 'member'; readonly permission: Permission; readonly body?: ExampleBody }
  /** An operator with a session. */
  | { readonly kind: 'operator'; readonly body?: ExampleBody }
  /** Whoever wants to become one: the operators' login. */
  | { readonly kind: 'stranger'; readonly body?: ExampleBody };

export const open = (body?: ExampleBody): Route => ({ kind: 'open', body });
export const exempt = (body?: ExampleBody): Route => ({ kind: 'exempt', body });
export const signedIn = (body?: ExampleBody): Route => ({ kind: 'signed_in', body });
export const needs = (permission: Permission, body?: ExampleBody): Route => ({
  kind: 'member',
  permission,
  body,
});
export const operator = (body?: ExampleBody): Route => ({ kind: 'operator', body });
export const stranger = (body?: ExampleBody): Route => ({ kind: 'stranger', body });

export const methodOf = (route: string): string => route.slice(0, route.indexOf(' '));
export const changes = (route: string): boolean => methodOf(route) !== 'GET';

/** The path with this in place of every parameter. */
export function pathOf(route: string, id: string): string {
  return route.slice(route.indexOf(' ') + 1).replace(/:\w+/g, encodeURIComponent(id));
}

export const hasParameter = (route: string): boolean => /:\w/.test(route);

export function bodyOf({ body }: Route, ids: Ids): object | undefined {
  return typeof body === 'function' ? body(ids) : body;
}

export const ofDashboard = ({ kind }: Route): boolean => kind !== 'operator' && kind !== 'stranger';

/** Headers of requests that no page of the installation sends. */
export const FOREIGN_SITES: readonly AskOptions['headers'][] = [
  { origin: null },
  { origin: 'null' },
  { origin: 'https://evil.example' },
  { origin: null, 'sec-fetch-site': 'cross-site' },
  { origin: null, 'sec-fetch-site': 'same-site' },
];

/** As docs/dashboard-api.md says it. */
export function wordsFor(route: Route): string {
  if (route.kind === 'member') return `\`${route.permission}\``;
  return route.kind === 'signed_in' ? 'signed in' : 'open';
}
