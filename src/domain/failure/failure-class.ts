/** What kind of failure an attempt met; decided once, by the provider's adapter. */
export type FailureClass =
  /** The request itself is at fault. */
  | 'caller_fault'
  | 'context_too_long'
  | 'content_filtered'
  /** The provider key is wrong, revoked or lacks permission. */
  | 'credential'
  /** The account has no money or no allowance left. */
  | 'quota'
  /** Too fast: it passes with time. */
  | 'rate_limit'
  /** The model does not exist for this account. */
  | 'model_access'
  /** The provider's own trouble; the only class that trips the shared breaker. */
  | 'transient';
