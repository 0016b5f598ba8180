/** Outcomes are counted over this long, in buckets. */
export const WINDOW_MS = 60_000;
export const WINDOW_BUCKETS = 10;
export const BUCKET_MS = WINDOW_MS / WINDOW_BUCKETS;

/** Fewer outcomes than this in the window open nothing. */
export const OUTCOMES_MIN = 6;
/** More than this share of them must have failed. */
export const FAILED_PERCENT = 50;

/** An open breaker lets a probe through after this long. */
export const RESET_MS = 15_000;
/** A probe without an end for so long gives its place to another. */
export const PROBE_MS_MAX = 60_000;
/** After an organization's probe has failed, the others may go first for this long. */
export const PROBE_TURN_MS = 5_000;

/** To open for everybody, failures of one organization count up to this number... */
export const FAILURES_PER_ORGANIZATION_MAX = 2;
/** ...and so many must come together, of two organizations at least, who are more than half of those heard of. */
export const COUNTED_FAILURES_MIN = 4;
/** Organizations remembered per breaker, for each half of the window. */
export const ORGANIZATIONS_MAX = 128;

/** Breakers in memory. */
export const BREAKERS_MAX = 1_000;
/** How many of the longest unused are looked at for one that may go. */
export const EVICTION_SCAN_MAX = 32;
/** No provider's model names are longer; longer ones are not tracked. */
export const MODEL_CHARS_MAX = 256;
