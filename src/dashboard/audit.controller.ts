import { Get, Inject, Query } from '@nestjs/common';
import type { AuditEntry } from '../modules/audit/audit-entry.js';
import { AuditHeads, type SignedHead } from '../modules/audit/audit-heads.js';
import { AUDIT_PAGE_MAX, AuditTrail } from '../modules/audit/audit-trail.js';
import { HttpError } from '../platform/http/http-error.js';
import { CurrentMember, Needs, type Member } from './access.js';
import { DashboardController } from './dashboard.controller.js';

const PAGE_DEFAULT = 100;

/** The organization's own trail, and the signed head by which it can be held to it later. */
@DashboardController('api/audit')
export class AuditController {
  constructor(
    @Inject(AuditTrail) private readonly trail: AuditTrail,
    @Inject(AuditHeads) private readonly heads: AuditHeads,
  ) {}

  /** Newest first; `before` takes `next_before` of the page before. */
  @Get()
  @Needs('audit.read')
  async list(
    @CurrentMember() { orgId }: Member,
    @Query('limit') limit?: string,
    @Query('before') before?: string,
  ) {
    const count = wholeNumber('limit', limit, AUDIT_PAGE_MAX) ?? PAGE_DEFAULT;
    const entries = await this.trail.list(orgId, {
      limit: count,
      before: wholeNumber('before', before, Number.MAX_SAFE_INTEGER),
    });
    const last = entries.at(-1)?.seq ?? 1;
    return { data: entries.map(published), next_before: last > 1 ? last : null };
  }

  @Get('head')
  @Needs('audit.read')
  async head(@CurrentMember() { orgId }: Member) {
    return { ...publishedHead(await this.heads.signed(orgId)), public_key: this.heads.publicKey };
  }
}

function wholeNumber(name: string, text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (/^\d{1,16}$/.test(text) && number >= 1 && number <= max) return number;
  throw new HttpError(
    400,
    'invalid_request',
    `${name} is a whole number${max === Number.MAX_SAFE_INTEGER ? ' from 1' : ` from 1 to ${max}`}.`,
  );
}

/** `details` is the text that was hashed, so that a reader can recompute the hash from the answer alone. */
function published(entry: AuditEntry) {
  return {
    seq: entry.seq,
    at: entry.at,
    actor_kind: entry.actorKind,
    actor: entry.actor,
    action: entry.action,
    subject: entry.subject,
    old_value: entry.oldValue,
    new_value: entry.newValue,
    reason: entry.reason,
    details: entry.details,
    prev_hash: entry.prevHash,
    hash: entry.hash,
  };
}

function publishedHead({ orgId, seq, hash, at, signature }: SignedHead) {
  return { org_id: orgId, seq, hash, at, signature };
}
