import { z } from 'zod';
import { HttpError } from '../platform/http/http-error.js';
import { isUuid } from '../platform/uuid.js';

/** Kept in the trail as it was given. */
const REASON_CHARS_MAX = 1_000;
const REASON = z.string().trim().min(1, 'Say why: 1 to 1000 characters.').max(REASON_CHARS_MAX);

export const WITH_REASON = z.strictObject({ reason: REASON });
export const WITH_OPTIONAL_REASON = z.strictObject({ reason: REASON.optional() });
export const ROUTING = z.strictObject({ enabled: z.boolean(), reason: REASON });
/** null: the installation's default. */
export const LIMITS = z.strictObject({
  requests_per_minute: z.int().min(1).max(10_000_000).nullable(),
});
export const OBSERVATION = z.strictObject({
  ends_at: z.iso.datetime({ offset: true }),
  reason: REASON,
});

export function unknownOrganization(): HttpError {
  return new HttpError(404, 'unknown_organization', 'There is no organization of that id.');
}

/** An id that is none names no organization. */
export function organizationId(id: string): string {
  if (isUuid(id)) return id.toLowerCase();
  throw unknownOrganization();
}

/** Numbers of entries; of the query string. */
export const PAGE_OF_TRAIL = z.strictObject({
  before: z.coerce.number().int().min(1).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(100),
});
