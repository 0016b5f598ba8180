import type { SubscriptionStatus } from '../domain/subscription/status.js';
import type { RefusalCode } from '../domain/subscription/transition.js';
import type { SubscriptionEvent } from '../domain/subscription/transitions.js';
import { HttpError } from '../platform/http/http-error.js';

/** 409: the act does not belong to the status that the organization has, which the answer names. */
export class RefusedTransition extends HttpError {
  constructor(event: SubscriptionEvent, code: RefusalCode, status: SubscriptionStatus) {
    const message = `"${event}" is not possible while the organization is "${status}".`;
    super(409, code, message, null, { status });
  }
}
