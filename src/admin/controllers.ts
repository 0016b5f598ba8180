import type { Type } from '@nestjs/common';

/** Every controller of the admin API. */
export const ADMIN_CONTROLLERS: readonly Type[] = [];
