import type { Type } from '@nestjs/common';

/** What other parties call. */
export const WEBHOOK_CONTROLLERS: readonly Type[] = [];
