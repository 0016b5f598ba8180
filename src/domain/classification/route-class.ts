import type { Provider } from '../routing/provider.js';
import { joinParts, type BoundedText } from './bounded-text.js';
import { messageTemplate } from './message-template.js';

/** Changes when the same call would fall into another class than before. */
export const ROUTE_CLASS_VERSION = 1;

/** What tells one use that an application makes of a model from another. */
export interface RouteClassParts {
  readonly orgId: string;
  readonly projectId: string;
  readonly provider: Provider;
  /** What the call does: `generation`, `embedding`, `count_tokens`. */
  readonly kind: string;
  readonly system: BoundedText;
  /** Names of tools and of their parameters, without descriptions. */
  readonly tools: string;
  /** Kind and outline of the answer's prescribed form. */
  readonly responseFormat: string;
  readonly lastUserMessage: BoundedText;
}

/**
 * The class of a call. Digits in the system prompt do not count (dates, ids), and its length only by the power of
 * two, so that a name filled in does not make a class of every customer.
 *
 * @param hash keyed, one-way; it alone sees the text.
 */
export function routeClassOf(parts: RouteClassParts, hash: (text: string) => string): string {
  return hash(
    joinParts([
      ROUTE_CLASS_VERSION,
      parts.orgId,
      parts.projectId,
      parts.provider,
      parts.kind,
      withoutNumbers(parts.system.head),
      withoutNumbers(parts.system.tail),
      bits(parts.system.length),
      parts.tools,
      parts.responseFormat,
      messageTemplate(parts.lastUserMessage),
    ]),
  );
}

function withoutNumbers(text: string): string {
  return text.replace(/[0-9]+/g, '0');
}

function bits(length: number): number {
  return length > 0 ? 32 - Math.clz32(length) : 0;
}
