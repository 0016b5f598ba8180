import type { Actor } from '../../domain/subscription/actor.js';
import { NIL_UUID } from '../../platform/uuid.js';

/** The chain of the installation itself: operators' logins, the global switch. No organization has this id. */
export const INSTALLATION_ID = NIL_UUID;

/**
 * Everything that the trail tells of, as `<what>.<happened>`. Subscription events (`subscription.kill`, ...) are
 * written by the subscription's own door and by nobody else, the global switch (`routing.switch`) by its function.
 */
export const AUDIT_ACTIONS = [
  'organization.created',
  'organization.changed',
  'organization.limits_changed',
  'organization.security_changed',
  'organization.exported',
  'organization.deletion_requested',
  'organization.deletion_withdrawn',
  'organization.erased',
  'project.created',
  'project.changed',
  'route_rule.set',
  'route_rule.revoked',
  'api_key.created',
  'api_key.rotated',
  'api_key.revoked',
  'provider_key.set',
  'provider_key.removed',
  'price.agreed',
  'member.invited',
  'member.invitation_withdrawn',
  'member.joined',
  'member.role_changed',
  'member.removed',
  'user.signed_up',
  'user.signed_in',
  'user.sign_in_failed',
  'user.address_confirmed',
  'user.password_changed',
  'user.totp_changed',
  'user.session_revoked',
  'operator.created',
  'operator.disabled',
  'operator.credentials_rotated',
  'operator.signed_in',
  'operator.sign_in_failed',
  'operator.signed_out',
  'observation.started',
  'observation.step_done',
  'observation.extended',
  'report.created',
  'billing.checkout_opened',
  'billing.portal_opened',
  'billing.reconciled',
  'billing.snapshot_changed',
  'audit.exported',
  'requests.exported',
  'ledger.exported',
  'statement.created',
  'invoice.imported',
  'encryption.rekeyed',
  'routing.local_kill',
  'routing.local_release',
  'mail.resent',
  'mail.link_opened',
] as const;

export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** What a writer gives; number, time's precision and hashes are the database's. */
export interface NewAuditEntry {
  readonly actor: Actor;
  readonly action: AuditAction;
  readonly atMs: number;
  /** The id of what was acted on, where that is not the organization. */
  readonly subject?: string;
  readonly oldValue?: string | null;
  readonly newValue?: string | null;
  readonly reason?: string | null;
  /** Names of fields, counts and ids: never an address, a key or content. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** An entry as it stands in `audit_log`. */
export interface AuditEntry {
  readonly orgId: string;
  readonly seq: number;
  /** ISO 8601, milliseconds, UTC: as it was hashed. */
  readonly at: string;
  readonly actorKind: Actor['kind'];
  readonly actor: string;
  readonly action: string;
  readonly subject: string | null;
  readonly oldValue: string | null;
  readonly newValue: string | null;
  readonly reason: string | null;
  /** The text that was hashed: a JSON object. */
  readonly details: string;
  /** Hex, 64 characters each. */
  readonly prevHash: string;
  readonly hash: string;
}
