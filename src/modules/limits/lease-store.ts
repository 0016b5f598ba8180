/** Permits counted at a time that the store chooses, to be added to or taken from one organization's window. */
export interface LeaseRequest {
  readonly orgId: string;
  readonly limitPerMinute: number;
  /** Permits for calls that wait now; fewer are granted only when the window is full. */
  readonly demand: number;
  /** Permits to hold in advance; near the limit each replica gets its part of what is left. */
  readonly spare: number;
  readonly replicas: number;
  /** What was let through without asking, to be counted now. */
  readonly unreported: readonly { readonly ageMs: number; readonly permits: number }[];
  /** What was leased and not used, to be taken off again. */
  readonly returned: readonly { readonly bucketMs: number; readonly permits: number }[];
}

export interface LeaseGrant {
  readonly demandGranted: number;
  readonly spareGranted: number;
  /** Names the bucket in which the grant was counted, for returning it. */
  readonly bucketMs: number;
  /** When one more permit comes free; 0 when the demand was met. */
  readonly retryAfterMs: number;
}

export interface Heartbeat {
  /** Replicas heard from within the last seconds, this one included; at least 1. */
  readonly replicas: number;
  /** Changes when the store has lost what it knew. */
  readonly epoch: string;
}

/** Where the replicas' shares of a limit are kept. Everything may reject; nothing is retried here. */
export interface LeaseStore {
  reachable(): boolean;
  lease(request: LeaseRequest): Promise<LeaseGrant>;
  heartbeat(replicaId: string): Promise<Heartbeat>;
  leave(replicaId: string): Promise<void>;
}
