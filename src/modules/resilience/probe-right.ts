/** Who may probe a half-open breaker, where several replicas have it. Nothing here waits. */
export interface ProbeRight {
  /** The probe will be wanted soon. */
  prepare(): void;
  /** True where this replica may probe now; it then holds the right until it gives it back, or for a bounded time. */
  take(halfOpenForMs: number): boolean;
  give(): void;
}

/** A single replica asks nobody. */
export const OWN_RIGHT: ProbeRight = {
  prepare: () => undefined,
  take: () => true,
  give: () => undefined,
};
