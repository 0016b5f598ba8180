import { Controller, UseFilters, UseGuards, applyDecorators } from '@nestjs/common';
import { ApiErrorFilter } from '../platform/http/api-error.filter.js';
import { HttpError } from '../platform/http/http-error.js';
import { DashboardGuard } from './dashboard.guard.js';

const RETRY_SECONDS = 2;
const DATABASE_AWAY = new HttpError(
  503,
  'temporarily_unavailable',
  'The database cannot be reached at the moment; calls through the gateway go on. Try again.',
  RETRY_SECONDS,
);

/** A controller of the dashboard's API: every route of it is guarded, and says by its mark who may use it. */
export function DashboardController(path: string): ClassDecorator {
  return applyDecorators(
    Controller(path),
    UseGuards(DashboardGuard),
    UseFilters(new ApiErrorFilter('dashboard', DATABASE_AWAY)),
  );
}
