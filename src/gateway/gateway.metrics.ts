import type { Provider } from '../domain/routing/provider.js';
import type { Outcome } from '../modules/records/call-record.js';
import type { Metrics } from '../platform/telemetry/metrics.js';
import type { ErrorCode } from './gateway-error.js';

/** What the gateway counts. Labels are closed sets. */
export class GatewayMetrics {
  private readonly calls;
  private readonly metering;
  private readonly errors;

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
