import type { MemberRole } from '../policy/permissions.js';

/** Who acts. An audit entry keeps the kind and one name: a member's id, an operator's name, never an address. */
export type Actor =
  | { readonly kind: 'member'; readonly id: string; readonly role: MemberRole }
  | { readonly kind: 'operator'; readonly name: string }
  /** Somebody at the command line of the machine, who needs no further credentials. */
  | { readonly kind: 'command'; readonly name: string }
  | { readonly kind: 'job'; readonly name: string }
  /** The payment provider, through the webhook or the nightly reconciliation. */
  | { readonly kind: 'billing'; readonly source: 'webhook' | 'reconciliation' }
  /** The product itself, such as at the first start. */
  | { readonly kind: 'system'; readonly part: string };

export type ActorKind = Actor['kind'];

/** The name that the audit trail keeps. */
export function actorName(actor: Actor): string {
  switch (actor.kind) {
    case 'member':
      return actor.id;
    case 'operator':
    case 'command':
    case 'job':
      return actor.name;
    case 'billing':
      return actor.source;
    case 'system':
      return actor.part;
  }
}
