import type { WireFormat } from '../../modules/providers/wire-format.js';
import {
  parseSpan,
  scanObject,
  type KnownEnds,
  type Member,
  type Scan,
  type Span,
} from './json-scan.js';
import type { Scanned } from './clipped-view.js';
import { INCLUDE_USAGE, type Injection } from './splice.js';

/** What the gateway must know of a request's body before it forwards it. */
export interface RequestFacts {
  /** As the body names it (the last one, as parsers take it); null where it names none. */
  readonly model: string | null;
  readonly modelSpan: Span | null;
  /** The body names its model more than once: parsers differ on which one counts. */
  readonly modelAmbiguous: boolean;
  readonly streamed: boolean;
  /** Where usage must be asked for; null where the body needs, or allows, no such request. */
  readonly injection: Injection | null;
  /** For `clippedView`. */
  readonly scanned: Scanned;
}

type FailedScan = Extract<Scan, { ok: false }>;

export type FactsResult =
  | { readonly ok: true; readonly facts: RequestFacts }
  | { readonly ok: false; readonly reason: FailedScan['reason'] };

/** Reads the facts in one pass over the bytes (see `scanObject`). */
export function readRequestFacts(body: Buffer, format: WireFormat): FactsResult {
  const knownEnds: KnownEnds = new Map();
  const scan = scanObject(body, 0, body.length, knownEnds);
  if (!scan.ok) return scan;
  const models = scan.members.filter((member) => member.key === 'model');
  const named = models.at(-1);
  const model = named ? parseSpan(body, named.value) : undefined;
  const streamed = isTrue(body, last(scan.members, 'stream'));
  const isModel = typeof model === 'string' && model !== '';
  return {
    ok: true,
    facts: {
      model: isModel ? model : null,
      modelSpan: isModel && named ? named.value : null,
      modelAmbiguous: models.length > 1,
      streamed,
      injection:
        streamed && format === 'openai_chat' ? injectionOf(body, scan.members, scan.object) : null,
      scanned: { object: scan.object, members: scan.members, knownEnds },
    },
  };
}

/**
 * A stream without `stream_options` gets them; one whose options say nothing of usage gets `include_usage` in them.
 * An explicit `include_usage`, true or false, is the client's own choice, and `null` options are left alone.
 */
function injectionOf(body: Buffer, members: readonly Member[], object: Span): Injection | null {
  const options = last(members, 'stream_options');
  if (options === undefined) return { at: object.end - 1, added: INCLUDE_USAGE.asMember };
  const scan = scanObject(body, options.value.start, options.value.end);
  if (!scan.ok) return null;
  if (scan.members.some((member) => member.key === 'include_usage')) return null;
  const added = scan.members.length === 0 ? INCLUDE_USAGE.alone : INCLUDE_USAGE.beforeOthers;
  return { at: options.value.start + 1, added };
}

function last(members: readonly Member[], key: string): Member | undefined {
  return members.findLast((member) => member.key === key);
}

function isTrue(body: Buffer, member: Member | undefined): boolean {
  if (member === undefined) return false;
  return body[member.value.start] === 0x74 && member.value.end - member.value.start === 4;
}
