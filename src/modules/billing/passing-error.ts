import { isUnavailable, sqlStateOf } from '../../platform/postgres/query-error.js';

/** Two transactions that waited for each other, or could not be put into one order. */
const CONFLICTS = new Set(['40P01', '40001']);

/** Whether the database will do what it was asked when it is asked again. */
export function isPassing(error: unknown): boolean {
  return isUnavailable(error) || CONFLICTS.has(sqlStateOf(error) ?? '');
}
