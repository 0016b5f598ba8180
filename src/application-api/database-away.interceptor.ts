import {
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { catchError, type Observable } from 'rxjs';
import { isUnavailable } from '../platform/postgres/query-error.js';
import { refused } from './project-key.guard.js';

/** A read that found the database away is worth asking again: 503, where any other failure of a query is a 500. */
@Injectable()
export class DatabaseAwayInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(
      catchError((error: unknown) => {
        throw isUnavailable(error) ? AWAY : error;
      }),
    );
  }
}

const AWAY = refused(
  503,
  'temporarily_unavailable',
  'Records cannot be read at the moment; calls go on, and are recorded. Try again.',
);
