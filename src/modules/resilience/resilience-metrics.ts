import type { BreakerState } from '../../domain/routing/decision.js';
import { PROVIDERS, type Provider } from '../../domain/routing/provider.js';
import type { Metrics } from '../../platform/telemetry/metrics.js';
import type { Breakers } from './breakers.js';

/** A model that the catalogue does not know: its name may be a customer's own (fine-tuned ones are). */
export const OTHER_MODELS = 'other';

/** What the gauge of states shows; the worst of those under one label. */
export const STATE_VALUES: Readonly<Record<BreakerState, number>> = {
  closed: 0,
  half_open: 1,
  open: 2,
};

/** @param isKnown whether the catalogue has the model: only then is it a label, so that labels are a closed set. */
export function observeBreakers(
  metrics: Metrics,
  breakers: Breakers,
  isKnown: (provider: Provider, model: string) => boolean,
): void {
  const labels = ['provider', 'model', 'environment'] as const;
  const changes = metrics.counter(
    'shunt_breaker_changes_total',
    'Changes of breakers that this process decided itself, by the state that was entered',
    ['provider', 'to'],
  );
  for (const provider of PROVIDERS)
    for (const to of ['open', 'half_open', 'closed'] as const) changes.inc({ provider, to }, 0);
  breakers.onChange(({ provider }, { to }, isOwn) => {
    if (isOwn) changes.inc({ provider, to });
  });
  const state = metrics.gauge(
    'shunt_breaker_state',
    'Breakers in use: 0 closed, 1 half-open, 2 open; models outside the catalogue together as "other"',
    labels,
  );
  const openForAll = metrics.gauge(
    'shunt_breaker_open_for_all',
    '1 where the breaker is open for every organization, 0 where for none or only for those whose own calls fail',
    labels,
  );
  const since = metrics.gauge('shunt_breaker_since_seconds', 'When its state began', labels);
  const outcomes = metrics.gauge(
    'shunt_breaker_recent_outcomes',
    'Calls that ended in the last minute',
    [...labels, 'outcome'],
  );
  // All of them are read at one moment: when the first one is.
  (state as { collect?: () => void }).collect = () => {
    for (const gauge of [state, openForAll, since, outcomes]) gauge.reset();
    const seen = new Set<string>();
    // The open ones come first: under one label they are the ones to show.
    for (const reading of breakers.states()) {
      const { provider, synthetic } = reading;
      const model = isKnown(provider, reading.model) ? reading.model : OTHER_MODELS;
      const label = { provider, model, environment: synthetic ? 'sandbox' : 'live' };
      outcomes.inc({ ...label, outcome: 'succeeded' }, reading.recentSucceeded);
      outcomes.inc({ ...label, outcome: 'failed' }, reading.recentFailed);
      const name = Object.values(label).join(' ');
      if (seen.has(name)) continue;
      seen.add(name);
      state.set(label, STATE_VALUES[reading.state]);
      openForAll.set(label, reading.openFor === 'all' ? 1 : 0);
      since.set(label, Math.round(reading.since.getTime() / 1_000));
    }
  };
}
