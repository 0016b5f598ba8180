import type { FailureClass } from '../../domain/failure/failure-class.js';
import type { Attempt } from '../call.js';

export type UpstreamHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** An attempt that failed before its first byte reached the client, and was given up for another. */
export interface FailedAttempt {
  readonly attempt: Attempt;
  /** False where it broke off or took too long: what it cost nobody said. */
  readonly answered: boolean;
  readonly failure: FailureClass;
  readonly headers: UpstreamHeaders;
  /** The parsed answer; undefined where there was none, or none that could be read. */
  readonly answer: unknown;
  /** The error in it. */
  readonly error: unknown;
}
