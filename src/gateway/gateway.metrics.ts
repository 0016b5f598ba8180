import type { FailureClass } from '../domain/failure/failure-class.js';
import type { Provider } from '../domain/routing/provider.js';
import type { Exclusion } from '../domain/savings/ledger-entry.js';
import type { Outcome } from '../modules/records/call-record.js';
import type { Metrics } from '../platform/telemetry/metrics.js';
import type { ErrorCode } from './gateway-error.js';

/** What the gateway counts. Labels are closed sets. */
export class GatewayMetrics {
  private readonly calls;
  private readonly metering;
  private readonly errors;
  private readonly exclusions;
  private readonly fallbacks;
  private readonly doubts;

  constructor(metrics: Metrics) {
    this.calls = metrics.counter('shunt_calls_total', 'Calls that ended, by outcome', [
      'provider',
      'outcome',
    ]);
    this.metering = metrics.counter(
      'shunt_calls_metered_total',
      'Calls that ended, by how their usage is known',
      ['provider', 'metering'],
    );
    this.errors = metrics.counter('shunt_errors_total', "Errors of Shunt's own, by code", [
      'provider',
      'code',
    ]);
    this.exclusions = metrics.counter(
      'shunt_calls_excluded_total',
      'Calls of routing organizations without savings in the ledger, by reason',
      ['reason'],
    );
    this.fallbacks = metrics.counter(
      'shunt_attempts_failed_total',
      'Attempts that were given up for another before their first byte, by class of failure',
      ['provider', 'failure'],
    );
    this.doubts = metrics.counter(
      'shunt_routing_errors_total',
      'Calls whose routing failed inside the gateway; they went where they were asked to go',
    );
  }

  excluded(reason: Exclusion): void {
    this.exclusions.inc({ reason });
  }

  fellBack(provider: Provider, failure: FailureClass): void {
    this.fallbacks.inc({ provider, failure });
  }

  undecided(): void {
    this.doubts.inc();
  }

  ended(provider: Provider, outcome: Outcome, metering: string): void {
    this.calls.inc({ provider, outcome });
    this.metering.inc({ provider, metering });
  }

  refused(provider: Provider, code: ErrorCode): void {
    this.calls.inc({ provider, outcome: 'refused' });
    this.errors.inc({ provider, code });
  }

  failed(provider: Provider, code: ErrorCode): void {
    this.errors.inc({ provider, code });
  }
}
