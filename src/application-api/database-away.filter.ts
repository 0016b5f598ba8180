import { Catch, type ArgumentsHost } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { QueryError } from '../platform/postgres/query-error.js';
import { refused } from './project-key.guard.js';

/** A read that found the database away is worth asking again: 503, where any other failure of a query is a 500. */
@Catch(QueryError)
export class DatabaseAwayFilter extends BaseExceptionFilter {
  override catch(error: QueryError, host: ArgumentsHost): void {
    super.catch(error.unavailable ? AWAY : error, host);
  }
}

const AWAY = refused(
  503,
  'temporarily_unavailable',
  'Records cannot be read at the moment; calls go on, and are recorded. Try again.',
);
