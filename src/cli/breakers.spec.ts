import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Breakers } from '../modules/resilience/breakers.js';
import { observeBreakers } from '../modules/resilience/resilience-metrics.js';
import { systemClock } from '../platform/clock.js';
import { Metrics } from '../platform/telemetry/metrics.js';
import { metricsOf, readBreakers, shown } from './breakers.js';

const ORIGIN = 'http://127.0.0.1:8080';

function serving() {
  const metrics = new Metrics();
  const breakers = new Breakers({ clock: systemClock });
  observeBreakers(metrics, breakers, (_provider, model) => model.startsWith('gpt-'));
  const report = (model: string, outcome: 'succeeded' | 'transient', times: number): void => {
    const target = { provider: 'openai', model, synthetic: false } as const;
    for (let time = 0; time < times; time += 1) breakers.observe({ target, orgId: 'a' }, outcome);
  };
  return { breakers, report, metrics: () => metrics.registry.metrics() };
}

describe('shunt breakers', () => {
  it('shows what /metrics says, the open ones first', async () => {
    const { report, metrics, breakers } = serving();
    report('gpt-6-sol', 'succeeded', 3);
    report('gpt-6-luna', 'transient', 6);
    await Promise.resolve();
    const found = readBreakers(await metrics());
    expect(found).toMatchObject([
      { model: 'gpt-6-luna', state: 'open', openFor: 'some', succeeded: 0, failed: 6 },
      { model: 'gpt-6-sol', state: 'closed', openFor: 'nobody', succeeded: 3, failed: 0 },
    ]);
    const { text } = shown(found, ORIGIN);
    expect(text).toMatch(/openai +gpt-6-luna +live +open +some +\d{4}-\d\d-\d\d \d\d:\d\dZ +0 +6/);
    breakers.stop();
  });

  it('names no model that the catalogue does not have: a fine-tuned one is named after its owner', async () => {
    const { report, metrics, breakers } = serving();
    report('ft:acme-secret', 'transient', 6);
    report('ft:acme-other', 'succeeded', 1);
    await Promise.resolve();
    const text = await metrics();
    expect(text).not.toContain('acme');
    expect(readBreakers(text)).toMatchObject([
      { model: 'other', state: 'open', succeeded: 1, failed: 6 },
    ]);
    breakers.stop();
  });

  it('counts the changes that were decided here', async () => {
    const { report, metrics, breakers } = serving();
    report('gpt-6-luna', 'transient', 6);
    expect(await metrics()).toContain('shunt_breaker_changes_total{provider="openai",to="open"} 1');
    breakers.stop();
  });

  it('says that there are none yet, and that a process without calls has none', async () => {
    const { metrics } = serving();
    expect(shown(readBreakers(await metrics()), ORIGIN).text).toContain('no breakers');
    expect(() => shown(readBreakers('# nothing'), ORIGIN)).toThrow('serves no calls');
  });

  it('asks the server with its token, and says what to do where it gets no answer', async () => {
    const server = createServer((req, res) => {
      const isKnown = req.headers.authorization === 'Bearer right';
      res.writeHead(isKnown && req.url === '/metrics' ? 200 : 401).end('# metrics');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await metricsOf(origin, 'right')).toBe('# metrics');
    await expect(metricsOf(origin, null)).rejects.toThrow('SHUNT_METRICS_TOKEN');
    server.close();
    await once(server, 'close');
    await expect(metricsOf(origin, null)).rejects.toThrow('Breakers live in the processes');
  });
});
