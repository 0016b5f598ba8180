import { createHash } from 'node:crypto';
import type { AuditEntry } from './audit-entry.js';

/** The hash before the first entry of a chain. */
export const CHAIN_START = '0'.repeat(64);

const VERSION = 'shunt-audit-1';

/**
 * The text of an entry that is hashed, as `link_audit_entry()` of the audit migration builds it, and as
 * docs/audit-trail.md describes it: each field as the length of its UTF-8 in bytes, a colon, the field and a comma; an
 * absent one as `-,`. No two different entries have the same text.
 */
export function encodeAuditEntry(entry: Omit<AuditEntry, 'hash'>): string {
  return [
    VERSION,
    entry.prevHash,
    entry.orgId,
    String(entry.seq),
    entry.at,
    entry.actorKind,
    entry.actor,
    entry.action,
    entry.subject,
    entry.oldValue,
    entry.newValue,
    entry.reason,
    entry.details,
  ]
    .map((field) => (field === null ? '-,' : `${Buffer.byteLength(field)}:${field},`))
    .join('');
}

/** SHA-256 in hex. */
export function hashAuditEntry(entry: Omit<AuditEntry, 'hash'>): string {
  return createHash('sha256').update(encodeAuditEntry(entry)).digest('hex');
}
