import { Controller, UseFilters, UseGuards, applyDecorators } from '@nestjs/common';
import { DashboardErrorFilter } from './dashboard-error.filter.js';
import { DashboardGuard } from './dashboard.guard.js';

/** A controller of the dashboard's API: every route of it is guarded, and says by its mark who may use it. */
export function DashboardController(path: string): ClassDecorator {
  return applyDecorators(
    Controller(path),
    UseGuards(DashboardGuard),
    UseFilters(DashboardErrorFilter),
  );
}
