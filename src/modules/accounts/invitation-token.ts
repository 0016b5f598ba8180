import { newOpaqueToken } from './opaque-token.js';

const TOKEN = /^([0-9a-f]{32})([\w-]{43})$/;

/** Begins with the organization's id: whose invitation it is, is known before anything is looked up. */
export function newInvitationToken(orgId: string): string {
  return orgId.replaceAll('-', '') + newOpaqueToken();
}

/** The id of the organization; null where it is no such token. */
export function organizationOfToken(token: string): string | null {
  const [, hex] = TOKEN.exec(token) ?? [];
  return hex === undefined
    ? null
    : hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
