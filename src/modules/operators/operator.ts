import type { Actor } from '../../domain/subscription/actor.js';

/** Somebody who runs the installation. The name is what the audit trail keeps, so it is never given to another. */
export interface Operator {
  readonly id: string;
  readonly name: string;
  readonly createdAt: Date;
  readonly disabledAt: Date | null;
}

/** Shown once. */
export interface OperatorCredentials {
  readonly name: string;
  readonly secret: string;
  readonly totpSecret: string;
  /** For the QR code of an authenticator app. */
  readonly totpUri: string;
}

/** The name under which the trail keeps failures of a name that nobody has. */
export const UNKNOWN_OPERATOR = 'unknown';

export const OPERATOR_NAME_FORM =
  'A name has 1 to 60 lower-case letters, digits, dots, hyphens or underscores, and begins with a letter.';

export function isOperatorName(name: string): boolean {
  return /^[a-z][a-z0-9._-]{0,59}$/.test(name) && name !== UNKNOWN_OPERATOR;
}

export function operatorActor(name: string): Extract<Actor, { kind: 'operator' }> {
  return { kind: 'operator', name };
}
