import type { Classification, Classifier } from '../../domain/classification/classification.js';
import { structuralClassifier } from '../../domain/classification/structural-classifier.js';
import { project, type ProjectionReason } from '../../domain/routing/projection.js';
import type { Provider } from '../../domain/routing/provider.js';
import type { Metrics } from '../../platform/telemetry/metrics.js';
import type { Principal } from '../api-keys/principal.js';
import type { WireFormat } from '../providers/wire-format.js';
import { attributionOf } from './attribution.js';
import type { PromptReading } from './prompt-collector.js';
import type { RequestHeaders } from './request-headers.js';
import { sight, type Sighting } from './sighting.js';
import { substitutionFor } from './substitutes.js';

export interface ShadowInput {
  readonly principal: Pick<
    Principal,
    'orgId' | 'projectId' | 'orgAllow' | 'projectAllow' | 'hashKey'
  >;
  readonly provider: Provider;
  readonly format: WireFormat;
  /** As asked for; null where the call names none. */
  readonly model: string | null;
  readonly headers: RequestHeaders;
  /** The parsed body, whole or clipped; null where it was not read. */
  readonly body: unknown;
  /** What the router saw of the call already; null where nobody looked at it. */
  readonly sighting: Sighting | null;
}

/** Closed words and numbers only. */
export interface ShadowClassification extends Readonly<Record<string, unknown>> {
  readonly version: string;
  readonly verdict: Classification['verdict'];
  readonly projection: ProjectionReason;
}

/** What routing would have made of a call, and whose it is. Holds no content. */
export interface Shadow {
  /** Keyed hash; null where nothing names the session. */
  readonly sessionKey: string | null;
  /** Keyed hash; null where the body was not read. */
  readonly routeClass: string | null;
  /** Null for calls that no model generates an answer to, such as a list of models. */
  readonly classification: ShadowClassification | null;
  /** The model asked for, unless another one would have been picked. */
  readonly projectedModel: string | null;
  readonly customerId: string | null;
  readonly tags: readonly string[];
}

/**
 * Makes the function that looks at calls beside their way: it decides nothing about them, delays nothing and never
 * throws. To be called once the call has been sent to the provider; its work is bounded, tens of microseconds.
 */
export function createShadow(
  metrics: Metrics,
  classifier: Classifier = structuralClassifier,
): (input: ShadowInput) => Shadow {
  const errors = metrics.counter(
    'shunt_shadow_errors_total',
    'Calls whose classification failed; they were recorded as abstained.',
  );
  return (input) => {
    try {
      return observe(input, classifier);
    } catch {
      // The error itself is not told: its message may quote what it failed on.
      errors.inc();
      const verdict: Classification = { verdict: 'abstain', reason: 'error' };
      return {
        sessionKey: null,
        routeClass: null,
        classification: recorded(verdict, 'abstained', classifier),
        projectedModel: input.model,
        customerId: null,
        tags: [],
      };
    }
  };
}

function observe(input: ShadowInput, classifier: Classifier): Shadow {
  const { reading, sessionKey, routeClass } = input.sighting ?? sight(input);
  return {
    sessionKey,
    routeClass,
    ...projected(input, reading, classifier),
    ...attributionOf(input.headers),
  };
}

function projected(
  { principal, provider, format, model }: ShadowInput,
  reading: PromptReading | null,
  classifier: Classifier,
): Pick<Shadow, 'classification' | 'projectedModel'> {
  if (format === 'opaque') return { classification: null, projectedModel: model };
  if (reading === null) {
    const verdict: Classification = { verdict: 'abstain', reason: 'unread' };
    return { classification: recorded(verdict, 'abstained', classifier), projectedModel: model };
  }
  const verdict = classifier.classify(reading.facts);
  if (model === null) {
    return { classification: recorded(verdict, 'no_candidate', classifier), projectedModel: null };
  }
  const allowance = { organization: principal.orgAllow, project: principal.projectAllow };
  const requested = substitutionFor(provider, model);
  const projection = project(verdict, requested, reading.facts, allowance);
  return {
    classification: recorded(verdict, projection.reason, classifier),
    projectedModel: projection.model,
  };
}

function recorded(
  verdict: Classification,
  projection: ProjectionReason,
  { version }: Classifier,
): ShadowClassification {
  return { version, ...verdict, projection };
}
