import type { WireFormat } from '../../modules/providers/wire-format.js';
import { USAGE_MEMBERS } from '../../modules/metering/usage/usage-members.js';
import { OpaqueReader, type AnswerReader } from './answer-reader.js';
import { DecodingReader } from './decoding-reader.js';
import { EventStreamReader } from './event-stream-reader.js';
import { JsonBodyReader } from './json-body-reader.js';
import { searchMark, streamMarks } from './stream-marks.js';
import { UsageStripper } from './usage-stripper.js';

export interface AnswerHead {
  readonly status: number;
  readonly contentType: string;
  readonly contentEncoding: string | null;
}

/**
 * The reader for an answer: by what it says that it is, not by what was asked for. `onFault` is told of a fault that
 * shows while a compressed answer is decoded, where no caller is left to throw to.
 */
export function chooseReader(
  format: WireFormat,
  injected: boolean,
  head: AnswerHead,
  onFault: (error: unknown) => void = () => {},
): AnswerReader {
  if (format === 'opaque' && head.status < 400) return new OpaqueReader();
  const encoding = head.contentEncoding?.trim().toLowerCase() ?? 'identity';
  const reader = plainReader(format, injected, head);
  return encoding === 'identity' ? reader : new DecodingReader(reader, encoding, onFault);
}

function plainReader(format: WireFormat, injected: boolean, head: AnswerHead): AnswerReader {
  if (head.contentType.startsWith('text/event-stream')) {
    return injected ? new UsageStripper() : new EventStreamReader(streamMarks(format));
  }
  return new JsonBodyReader(USAGE_MEMBERS[format], searchMark(format));
}
