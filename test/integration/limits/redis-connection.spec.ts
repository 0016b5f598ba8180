import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  RedisConnection,
  reconnectDelayMs,
  type RedisScript,
} from '../../../src/platform/redis/redis-connection.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { hasRedisServer, RedisServer, until } from '../../support/redis-server.js';

const ECHO: RedisScript = { name: 'echo', lua: 'return { KEYS[1], ARGV[1] }' };

describe('reconnectDelayMs', () => {
  it('grows from 100 ms and never beyond 2 s', () => {
    expect([1, 2, 3, 6, 1_000_000].map(reconnectDelayMs)).toEqual([100, 200, 400, 2_000, 2_000]);
  });
});

describe.skipIf(!hasRedisServer)('RedisConnection (needs redis-server)', () => {
  let server: RedisServer;
  let connection: RedisConnection;
  let lines: string[];

  beforeEach(async () => {
    lines = [];
    const destination = new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(chunk.toString());
        done();
      },
    });
    server = await RedisServer.start();
    connection = new RedisConnection(server.url, createLogger('info', destination), {
      commandTimeoutMs: 100,
      silenceTimeoutMs: 300,
    });
    await until(() => connection.status() === 'ready');
  });
  afterEach(async () => {
    await connection.close();
    await server.kill();
  });

  it('runs a script that the server does not know yet, and again when it does', async () => {
    expect(await connection.evalScript(ECHO, ['k'], ['v'])).toEqual(['k', 'v']);
    expect(await connection.evalScript(ECHO, ['k'], ['w'])).toEqual(['k', 'w']);
    expect(await connection.ping()).toBe(true);
  });

  it('rejects at once while the server is away, logs one line, and is ready again after its return', async () => {
    await server.kill();
    await until(() => connection.status() !== 'ready');
    await expect(connection.evalScript(ECHO, ['k'], ['secret'])).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
    });
    expect(await connection.ping()).toBe(false);
    await server.start();
    await until(() => connection.status() === 'ready');
    expect(await connection.ping()).toBe(true);
    expect(lines.length).toBeLessThanOrEqual(1);
    expect(lines.join('')).not.toContain('secret');
  });

  it('finds a server that starts after it', async () => {
    await server.kill();
    const early = new RedisConnection(server.url, createLogger('silent'));
    try {
      expect(await early.ping()).toBe(false);
      await server.start();
      await until(() => early.ping());
    } finally {
      await early.close();
    }
  });

  it('gives up on a command that is not answered, drops the silent connection, and recovers', async () => {
    server.freeze();
    await expect(connection.evalScript(ECHO, ['k'], ['v'])).rejects.toThrow();
    await until(() => connection.status() !== 'ready');
    server.thaw();
    await until(() => connection.ping());
  });

  it('is closed after close, and stays so', async () => {
    await connection.close();
    await connection.close();
    expect(connection.status()).toBe('closed');
    await expect(connection.evalScript(ECHO, ['k'], ['v'])).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
    });
  });
});
