import type { AuditEntry } from '../modules/audit/audit-entry.js';

/** An entry of the trail as the API gives it, with what a verifier needs. */
export function entryOf(entry: AuditEntry) {
  return {
    seq: entry.seq,
    at: entry.at,
    actor: { kind: entry.actorKind, name: entry.actor },
    action: entry.action,
    subject: entry.subject,
    old_value: entry.oldValue,
    new_value: entry.newValue,
    reason: entry.reason,
    details: JSON.parse(entry.details) as unknown,
    prev_hash: entry.prevHash,
    hash: entry.hash,
  };
}
