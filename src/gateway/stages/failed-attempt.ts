import type { FailureClass } from '../../domain/failure/failure-class.js';
import type { Attempt } from '../call.js';

export type UpstreamHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** An attempt that failed before its first byte reached the client, and was given up for another. */
export interface FailedAttempt {
  readonly attempt: Attempt;
  /**
   * `nothing`: it never reached its provider. `stated`: the answer is whole, and says what it used; an error that says
   * nothing of it is not billed. `unknown`: it was sent, and no answer came, or none that could be read.
   */
  readonly usage: 'nothing' | 'stated' | 'unknown';
  readonly failure: FailureClass;
  readonly headers: UpstreamHeaders;
  /** The parsed answer; undefined where there was none, or none that could be read. */
  readonly answer: unknown;
  /** The error in it. */
  readonly error: unknown;
}
