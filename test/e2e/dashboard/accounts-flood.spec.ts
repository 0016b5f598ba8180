import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { FORM_LIMITS } from '../../../src/platform/http/growing-delays.js';
import { anonymous, firstOwner, type DashboardClient } from '../../support/dashboard-client.js';
import { startGateway, type TestGateway } from '../../support/gateway.js';

// How long an answer takes is what a password costs.
vi.unmock('bcrypt');

/**
 * What a login from an address of its own may take while others flood: the delay for everybody, and this many times
 * what it takes alone, wherever the test runs. In the order of arrival it would be thirty times.
 */
const SLOWER_MAX = 10;
const ATTACKERS = 15;
/** One more than are let in: some are refused all the time. */
const CONNECTIONS_EACH = FORM_LIMITS.perAddressMax + 1;
const REFUSED_PAUSE_MS = 250;

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await startGateway({ env: { SHUNT_TRUSTED_PROXIES: '127.0.0.1' } });
});
afterAll(() => gateway?.stop());

const at = (address: string) => anonymous(gateway, { 'x-forwarded-for': address });

test('an address that guesses on waits for each guess, and its neighbour in the same IPv6 network with it', async () => {
  const { email, password } = firstOwner(gateway);
  const guesser = await at('2001:db8:7::1');
  for (let i = 0; i < 6; i += 1) {
    await guesser.post('/api/login', { email, password: 'a guess' });
  }
  const timed = async (client: DashboardClient): Promise<number> => {
    const began = performance.now();
    expect((await client.post('/api/login', { email, password })).status).toBe(200);
    return performance.now() - began;
  };
  const slow = await timed(await at('2001:db8:7::2'));
  const quick = await timed(await at('2001:db8:8::1'));
  expect(slow).toBeGreaterThan(quick + 500);
});

test('while others flood the form with guesses, whoever is right gets in from another address', async () => {
  const { email, password } = firstOwner(gateway);
  const victim = await at('198.51.100.1');
  const login = async (): Promise<number> => {
    const began = performance.now();
    expect((await victim.post('/api/login', { email, password })).status).toBe(200);
    return Math.round(performance.now() - began);
  };
  const alone = [await login(), await login(), await login()];
  const over = new AbortController();
  const statuses: Record<number, number> = {};
  const guess = async (client: DashboardClient): Promise<void> => {
    while (!over.signal.aborted) {
      const { status, headers } = await client.post('/api/login', { email, password: 'a guess' });
      statuses[status] = (statuses[status] ?? 0) + 1;
      if (status !== 429) continue;
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
      // Attackers and gateway share this process: its event loop is not what is tested here.
      await pause(REFUSED_PAUSE_MS);
    }
  };
  const clients = await Promise.all(
    Array.from({ length: ATTACKERS }, (_, i) => at(`203.0.113.${i}`)),
  );
  const flood = clients.flatMap((client) =>
    Array.from({ length: CONNECTIONS_EACH }, () => guess(client).catch(() => undefined)),
  );
  await expect.poll(() => statuses[429] ?? 0, { timeout: 20_000 }).toBeGreaterThan(0);
  const flooded = [await login(), await login(), await login(), await login()];
  over.abort();
  const limitMs = FORM_LIMITS.overallDelayMsMax + SLOWER_MAX * Math.max(...alone);
  const told = `alone ${alone.join(', ')} ms, in the flood ${flooded.join(', ')} ms`;
  // The tests beside this one take their part of the machine: one slow login is theirs, most of them are the flood's.
  const [, second = 0] = flooded.toSorted((one, other) => one - other);
  expect(second, told).toBeLessThan(limitMs);
  expect(Math.max(...flooded), told).toBeLessThan(4 * limitMs);
  expect(statuses[401]).toBeGreaterThan(0);
  expect(statuses[200]).toBeUndefined();
  expect(flood).toHaveLength(ATTACKERS * CONNECTIONS_EACH);
});
