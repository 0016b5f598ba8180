import { Controller, UseFilters, UseGuards, applyDecorators } from '@nestjs/common';
import { ApiErrorFilter } from '../platform/http/api-error.filter.js';
import { HttpError } from '../platform/http/http-error.js';
import { AdminGuard } from './admin.guard.js';

/** What still works when the database does not. */
const DATABASE_AWAY = new HttpError(
  503,
  'database_unavailable',
  'The database does not answer, so nothing was changed. Calls go on. To stop routing now, run on each machine: ' +
    'npm run shunt -- kill --local --reason "...". A replica that can renew its right to route nowhere stops routing within 5 s.',
);

/** A controller of the admin API: nobody comes in but operators, and errors have the API's one shape. */
export function AdminController(path: string): ClassDecorator {
  return applyDecorators(
    Controller(`admin/api${path === '' ? '' : `/${path}`}`),
    UseGuards(AdminGuard),
    UseFilters(new ApiErrorFilter('admin', DATABASE_AWAY)),
  );
}
