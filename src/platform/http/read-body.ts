import type { z } from 'zod';
import { HttpError } from './http-error.js';

const CHARS_MAX = 300;

/** The body (or query) of a request, checked; a 400 `invalid_request` that names the field otherwise. */
export function readBody<Schema extends z.ZodType>(
  schema: Schema,
  body: unknown,
): z.output<Schema> {
  const parsed = schema.safeParse(body ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join('.') ?? '';
  const said = issue?.message ?? 'The request cannot be read.';
  const message = field === '' ? said : `${field}: ${said}`;
  throw new HttpError(400, 'invalid_request', message.slice(0, CHARS_MAX));
}
