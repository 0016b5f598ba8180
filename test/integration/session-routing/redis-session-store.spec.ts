import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SessionState } from '../../../src/domain/routing/session-state.js';
import {
  RedisSessionStore,
  SESSION_READ_MS_MAX,
} from '../../../src/modules/session-routing/redis-session-store.js';
import { RedisConnection } from '../../../src/platform/redis/redis-connection.js';
import { Metrics } from '../../../src/platform/telemetry/metrics.js';
import { hasRedisServer, RedisServer, until } from '../../support/redis-server.js';
import { CHEAP, DEAR, outcomeAt } from './outcomes.js';

const logger = pino({ level: 'silent' });
const NAME = { orgId: 'org-1', sessionKey: 'session-1' };

interface Replica {
  readonly store: RedisSessionStore;
  readonly redis: RedisConnection;
  readonly metrics: Metrics;
}

describe.skipIf(!hasRedisServer)('sessions over two replicas (needs redis-server)', () => {
  const clock = {
    timeMs: 0,
    nowMs() {
      return this.timeMs;
    },
  };
  let server: RedisServer;
  let replicas: Replica[] = [];

  async function replica(): Promise<Replica> {
    const redis = new RedisConnection(server.url, logger, { commandTimeoutMs: 500 });
    await until(() => redis.status() === 'ready');
    const metrics = new Metrics();
    const made = { store: new RedisSessionStore(redis, clock, metrics), redis, metrics };
    replicas.push(made);
    return made;
  }

  const routeSeen = async (
    { store }: Replica,
    name = NAME,
  ): Promise<SessionState['route'] | null> => (await store.find(name))?.route ?? null;

  beforeEach(async () => {
    clock.timeMs = 1_790_000_000_000;
    replicas = [];
    server = await RedisServer.start();
  });
  afterEach(async () => {
    server.thaw();
    await Promise.all(replicas.map(({ redis }) => redis.close()));
    await server.kill();
  });

  it('a route made by one replica holds on the other, and grows there', async () => {
    const [one, other] = [await replica(), await replica()];
    expect(await routeSeen(other)).toBeNull();
    one.store.note(NAME, 'project', outcomeAt(clock.timeMs, CHEAP));
    await until(async () => (await routeSeen(other)) !== null);
    expect(await routeSeen(other)).toEqual(CHEAP);
    clock.timeMs += 60_000;
    other.store.note(NAME, 'project', outcomeAt(clock.timeMs, DEAR));
    await until(async () => (await one.store.find(NAME))?.turns === 2);
    expect(await routeSeen(one)).toEqual(DEAR);
    expect((await one.store.find(NAME))?.caches).toHaveLength(2);
  });

  it('that another model answered through the other replica is known, its usage or not', async () => {
    const [one, other] = [await replica(), await replica()];
    one.store.note(NAME, 'project', outcomeAt(clock.timeMs, CHEAP));
    await until(async () => (await other.store.find(NAME))?.answeredBy?.model === CHEAP.model);
    other.store.noteAnswerer(NAME, DEAR, { shown: 1, hidden: false });
    await until(async () => (await one.store.find(NAME))?.answeredBy === null);
    expect(await routeSeen(one)).toEqual(CHEAP);
  });

  it.each(['the one', 'the other'])(
    'of calls at the same time nobody gave all answers once two models did, %s writing last',
    async (last) => {
      const [one, other] = [await replica(), await replica()];
      one.store.note(NAME, 'project', outcomeAt(clock.timeMs, CHEAP));
      for (const { store } of [one, other]) {
        await until(async () => (await store.find(NAME))?.answeredBy?.model === CHEAP.model);
      }
      clock.timeMs += 1_000;
      const earlier = { shown: 1, hidden: false };
      const stays = (): unknown =>
        one.store.note(NAME, 'project', { ...outcomeAt(clock.timeMs, CHEAP), earlier });
      const fallsBack = (): unknown => {
        const fallback = { ...outcomeAt(clock.timeMs - 1, DEAR), route: CHEAP, earlier };
        return other.store.note(NAME, 'project', fallback);
      };
      const [before, after] = last === 'the one' ? [fallsBack, stays] : [stays, fallsBack];
      before();
      const newcomer = await replica();
      await until(async () => (await newcomer.store.find(NAME))?.turns === 2);
      after();
      await until(async () => (await newcomer.store.find(NAME))?.answeredBy === null);
      for (const { store } of [one, other, await replica()]) {
        const next = { turns: 2, route: CHEAP, answeredBy: null, answersShown: 1 };
        expect(await store.find(NAME)).toMatchObject(next);
      }
    },
  );

  it('the process’s own copy serves while Redis is down, and its later calls win afterwards', async () => {
    const one = await replica();
    one.store.note(NAME, 'project', outcomeAt(clock.timeMs, CHEAP));
    await until(async () => (await routeSeen(one)) !== null);
    await server.kill();
    await until(() => one.redis.status() !== 'ready');
    expect(one.store.find(NAME)).toMatchObject({ route: CHEAP });
    one.store.note(NAME, 'project', outcomeAt(clock.timeMs, DEAR));
    await server.start();
    await until(() => one.redis.status() === 'ready');
    clock.timeMs += 2_000;
    expect(await routeSeen(one)).toEqual(DEAR);
    expect(await one.metrics.registry.metrics()).toMatch(/shunt_session_writes_lost_total 1\b/);
  });

  it('a Redis that does not answer delays one call by its limit, and the next ones not at all', async () => {
    const one = await replica();
    one.store.note(NAME, 'project', outcomeAt(clock.timeMs, CHEAP));
    await until(async () => (await routeSeen(one)) !== null);
    server.freeze();
    const startedMs = performance.now();
    const found = one.store.find(NAME);
    expect(found).toBeInstanceOf(Promise);
    expect(await found).toMatchObject({ route: CHEAP });
    // The timer's limit and what a loaded machine adds; the connection's own limit is twenty times as long.
    expect(performance.now() - startedMs).toBeLessThan(10 * SESSION_READ_MS_MAX);
    expect(one.store.find(NAME)).toMatchObject({ route: CHEAP });
    server.thaw();
    clock.timeMs += 2_000;
    await until(() => one.store.find(NAME) instanceof Promise);
  });

  it('what another program left under the key is an unknown session', async () => {
    const one = await replica();
    const write = { name: 'test-set', lua: `redis.call('SET', KEYS[1], '[1,"evil"]') return 1` };
    await one.redis.evalScript(write, [`shunt:session:{${NAME.orgId}}:s:${NAME.sessionKey}`], []);
    expect(await routeSeen(one)).toBeNull();
  });

  it('Redis holds names of models and numbers, and drops them when the session is over', async () => {
    const one = await replica();
    one.store.note(NAME, 'project', outcomeAt(clock.timeMs, CHEAP));
    const look = {
      name: 'test-look',
      lua: `return { redis.call('GET', KEYS[1]) or '', redis.call('PTTL', KEYS[1]) }`,
    };
    const key = `shunt:session:{${NAME.orgId}}:s:${NAME.sessionKey}`;
    let reply: unknown[] = [];
    await until(async () => {
      reply = (await one.redis.evalScript(look, [key], [])) as unknown[];
      return reply[0] !== '';
    });
    const [text, ttlMs] = reply as [string, number];
    expect(text.length).toBeLessThan(400);
    const words = text.match(/"[^"]*"/g) ?? [];
    expect(new Set(words)).toEqual(new Set(['"openai"', `"${CHEAP.model}"`]));
    expect(ttlMs).toBeGreaterThan(3_500_000);
    expect(ttlMs).toBeLessThanOrEqual(3_600_000);
  });
});
