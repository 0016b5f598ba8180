import type { Type } from '@nestjs/common';

/** Every controller of the dashboard's API. */
export const DASHBOARD_CONTROLLERS: readonly Type[] = [];
