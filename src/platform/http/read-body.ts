import type { z } from 'zod';
import { HttpError } from './http-error.js';

const CHARS_MAX = 300;

/** The body (or query) of a request, checked; a 400 `invalid_request` that names the field otherwise. */
export function readBody<Schema extends z.ZodType>(
  schema: Schema,
  body: unknown,
): z.output<Schema> {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) {
    assertNoNul(parsed.data);
    return parsed.data;
  }
  const [issue] = parsed.error.issues;
  const field = issue?.path.join('.') ?? '';
  const said = issue?.message ?? 'The request cannot be read.';
  const message = field === '' ? said : `${field}: ${said}`;
  throw new HttpError(400, 'invalid_request', message.slice(0, CHARS_MAX));
}

/** No field takes one, and a database refuses the whole query. */
function assertNoNul(data: unknown): void {
  if (typeof data !== 'object' || data === null) return;
  for (const [field, value] of Object.entries(data)) {
    if (!holdsNul(value)) continue;
    throw new HttpError(400, 'invalid_request', `${field}: takes no NUL character`);
  }
}

/** Without recursion: how deep a value is, is up to who sent it. */
function holdsNul(value: unknown): boolean {
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next === 'string' && next.includes('\0')) return true;
    if (typeof next !== 'object' || next === null) continue;
    for (const part of Object.values(next)) open.push(part);
  }
  return false;
}
