import type { Target } from '../../domain/routing/decision.js';
import type { Provider } from '../../domain/routing/provider.js';

/** An application of an organization. */
export interface Project {
  readonly id: string;
  readonly orgId: string;
  readonly name: string;
  readonly disabled: boolean;
  /** Never touched: no usage injection. */
  readonly strict: boolean;
  readonly defaultModel: string | null;
  readonly bodyLimitBytes: number | null;
  readonly allowedProviders: readonly Provider[] | null;
  readonly allowedModels: readonly string[] | null;
  /** Relayed paths beyond the default ones, such as `openai:/files*`. */
  readonly allowedPaths: readonly string[];
  /** Providers that calls may be moved to from another one. */
  readonly crossProviderOptIn: readonly Provider[];
  /** In the order in which they are tried when a model fails. */
  readonly fallbackModels: readonly Target[];
  /** Nothing of the project is routed. */
  readonly routingOptOut: boolean;
  readonly createdAt: Date;
}

/** What is given changes, the rest stays. Null lifts a limit. */
export interface ProjectChanges {
  readonly name?: string;
  readonly disabled?: boolean;
  readonly strict?: boolean;
  readonly defaultModel?: string | null;
  readonly bodyLimitBytes?: number | null;
  readonly allowedProviders?: readonly Provider[] | null;
  readonly allowedModels?: readonly string[] | null;
  readonly allowedPaths?: readonly string[];
  readonly crossProviderOptIn?: readonly Provider[];
  readonly fallbackModels?: readonly Target[];
  readonly routingOptOut?: boolean;
}
