import { Controller, UseFilters, UseGuards, applyDecorators } from '@nestjs/common';
import { AdminErrorFilter } from './admin-error.filter.js';
import { AdminGuard } from './admin.guard.js';

/** A controller of the admin API: nobody comes in but operators, and errors have the API's one shape. */
export function AdminController(path: string): ClassDecorator {
  return applyDecorators(
    Controller(`admin/api${path === '' ? '' : `/${path}`}`),
    UseGuards(AdminGuard),
    UseFilters(AdminErrorFilter),
  );
}
