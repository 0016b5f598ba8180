import { HttpError } from '../platform/http/http-error.js';
import { isUuid } from '../platform/uuid.js';

export type Resource = 'organization' | 'project' | 'key' | 'request' | 'route_rule';

/** An id from a path or a filter, as the trail has it. What cannot be one belongs to nothing: 404, as for one of somebody else. */
export function idOf(resource: Resource, text: string): string {
  if (isUuid(text)) return text.toLowerCase();
  throw unknown(resource);
}

export function unknown(resource: Resource): HttpError {
  return new HttpError(404, `unknown_${resource}`, `There is no such ${resource} here.`);
}
