import { routeClassOf } from '../../domain/classification/route-class.js';
import type { Provider } from '../../domain/routing/provider.js';
import type { Principal } from '../api-keys/principal.js';
import type { WireFormat } from '../providers/wire-format.js';
import { keyedHash } from './keyed-hash.js';
import type { PromptReading } from './prompt-collector.js';
import { readPrompt } from './read-prompt.js';
import type { RequestHeaders } from './request-headers.js';
import { sessionName } from './session-identity.js';

export interface SightedCall {
  readonly principal: Pick<Principal, 'orgId' | 'projectId' | 'hashKey'>;
  readonly provider: Provider;
  readonly format: WireFormat;
  readonly headers: RequestHeaders;
  /** The parsed body, whole or clipped; null where it was not read. */
  readonly body: unknown;
}

/** What a call's body says of it, read once, and the hashes that it is known by. */
export interface Sighting {
  readonly reading: PromptReading | null;
  /** Keyed hash; null where nothing names the session. */
  readonly sessionKey: string | null;
  /** Keyed hash; null where the body was not read. */
  readonly routeClass: string | null;
}

/** Bounded work, whatever the body holds. */
export function sight(call: SightedCall): Sighting {
  const { principal, headers, body } = call;
  const reading = readPrompt(call.format, body);
  const name = sessionName(headers, body, reading);
  return {
    reading,
    sessionKey: name === null ? null : keyedHash(principal.hashKey, 'session', name),
    routeClass: reading === null ? null : classOf(call, reading),
  };
}

function classOf({ principal, provider }: SightedCall, reading: PromptReading): string {
  const { orgId, projectId, hashKey } = principal;
  return routeClassOf(
    {
      orgId,
      projectId,
      provider,
      kind: reading.facts.kind,
      system: reading.system,
      tools: reading.tools,
      responseFormat: reading.responseFormat,
      lastUserMessage: reading.lastUserMessage,
    },
    (text) => keyedHash(hashKey, 'class', text),
  );
}
