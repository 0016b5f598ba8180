import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startGateway, type TestGateway } from '../../support/gateway.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';
import { hasRedisServer, RedisServer } from '../../support/redis-server.js';

const LIMIT = 40;

describe.skipIf(!hasRedisServer)('two replicas with Redis (needs redis-server)', () => {
  let redis: RedisServer;
  let postgres: TestDatabase;
  let replicas: TestGateway[];
  let env: Record<string, string>;

  beforeAll(async () => {
    redis = await RedisServer.start();
    postgres = await testDatabase();
    env = {
      DATABASE_URL: postgres.runtimeUrl,
      DATABASE_MIGRATION_URL: postgres.ownerUrl,
      REDIS_URL: redis.url,
      SHUNT_ORG_RATE_LIMIT: String(LIMIT),
      SHUNT_ENCRYPTION_KEY: Buffer.alloc(32, 7).toString('base64'),
    };
    replicas = [await startGateway({ env }), await startGateway({ env })];
  });

  afterAll(async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    await postgres.close();
    await redis.kill();
  });

  async function call(replica: TestGateway): Promise<number> {
    const answer = await request(`${replica.origin}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${replica.projectKey}` },
      body: '{"model":"gpt-5.4","messages":[{"role":"user","content":"x"}]}',
    });
    await answer.body.dump();
    return answer.statusCode;
  }

  async function ready(): Promise<unknown[]> {
    const asked = replicas.map(async ({ origin }) =>
      (await request(`${origin}/readyz`)).body.json(),
    );
    return Promise.all(asked);
  }

  it("count an organization's calls together, to the call", async () => {
    await expect
      .poll(ready, { timeout: 10_000 })
      .toMatchObject([{ dependencies: { redis: 'up' } }, { dependencies: { redis: 'up' } }]);
    const statuses: number[] = [];
    for (let i = 0; i < LIMIT; i++)
      for (const replica of replicas) statuses.push(await call(replica));
    expect(statuses.filter((status) => status === 200)).toHaveLength(LIMIT);
    expect(statuses.filter((status) => status === 429)).toHaveLength(LIMIT);
  });

  it('let traffic flow when Redis is gone, within their own share', async () => {
    await redis.kill();
    await expect
      .poll(ready, { timeout: 10_000 })
      .toMatchObject([{ status: 'degraded' }, { status: 'degraded' }]);
    const fresh = await startGateway({ env });
    try {
      const statuses: number[] = [];
      for (let i = 0; i < LIMIT + 5; i++) statuses.push(await call(fresh));
      expect(statuses.filter((status) => status === 200)).toHaveLength(LIMIT);
      expect(statuses.slice(LIMIT)).toEqual(Array(5).fill(429));
    } finally {
      await fresh.stop();
    }
  });
});
