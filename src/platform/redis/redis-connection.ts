import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import { systemClock, type Clock } from '../clock.js';
import { safeError, type Logger } from '../telemetry/logger.js';

/** A Lua script that runs on the server as one step. Its keys must share one hash tag (`{...}`). */
export interface RedisScript {
  readonly name: string;
  readonly lua: string;
}

export type RedisStatus = 'connecting' | 'ready' | 'reconnecting' | 'closed';

export interface RedisConnectionOptions {
  /** How long a new connection may take. */
  readonly connectTimeoutMs: number;
  /** How long a command may take; after that its promise rejects. */
  readonly commandTimeoutMs: number;
  /** A connection on which nothing arrives for this long, while answers are due, is dropped. */
  readonly silenceTimeoutMs: number;
}

const DEFAULTS: RedisConnectionOptions = {
  connectTimeoutMs: 2_000,
  commandTimeoutMs: 1_000,
  silenceTimeoutMs: 3_000,
};

const RECONNECT_DELAY_MS_MIN = 100;
const RECONNECT_DELAY_MS_MAX = 2_000;
const PENDING_COMMANDS_MAX = 10_000;
const LOG_INTERVAL_MS_MIN = 10_000;

/** Redis cannot be asked now: not connected, or too many commands are waiting. Nothing was sent. */
export class RedisUnavailableError extends Error {
  override readonly name = 'RedisUnavailableError';
  readonly code = 'REDIS_UNAVAILABLE';
}

/**
 * One connection to Redis for short commands. It never queues while it is down: a caller learns at once
 * and goes on without. It reconnects for as long as it lives, at most every 2 s.
 */
export class RedisConnection {
  readonly #client: Redis;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #digests = new Map<string, string>();
  #pending = 0;
  #closed = false;
  #lastLoggedMs = Number.NEGATIVE_INFINITY;
  #unlogged = 0;

  /** Connects in the background; it is usable at once, and `ready` when `status()` says so. */
  constructor(
    url: string,
    logger: Logger,
    options: Partial<RedisConnectionOptions> = {},
    clock: Clock = systemClock,
  ) {
    this.#logger = logger;
    this.#clock = clock;
    const { connectTimeoutMs, commandTimeoutMs, silenceTimeoutMs } = { ...DEFAULTS, ...options };
    this.#client = new Redis(url, {
      lazyConnect: true,
      connectTimeout: connectTimeoutMs,
      commandTimeout: commandTimeoutMs,
      socketTimeout: silenceTimeoutMs,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy: reconnectDelayMs,
    });
    this.#client.on('error', (error: unknown) => this.#logRarely(error));
    // The first attempt's failure arrives as an `error` event too, and is retried.
    this.#client.connect().catch(() => undefined);
  }

  status(): RedisStatus {
    if (this.#closed) return 'closed';
    switch (this.#client.status) {
      case 'ready':
        return 'ready';
      case 'reconnecting':
      case 'close':
      case 'end':
        return 'reconnecting';
      default:
        return 'connecting';
    }
  }

  /** True when the server answered in time; never rejects. */
  async ping(): Promise<boolean> {
    try {
      return (await this.#send(() => this.#client.ping())) === 'PONG';
    } catch {
      return false;
    }
  }

  /** Runs a script, sending its text only when the server does not know it. Rejects when Redis cannot answer in time. */
  async evalScript(
    script: RedisScript,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    const digest = this.#digestOf(script);
    try {
      return await this.#send(() => this.#client.evalsha(digest, keys.length, ...keys, ...args));
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      return this.#send(() => this.#client.eval(script.lua, keys.length, ...keys, ...args));
    }
  }

  /** Ends the connection; what is under way gets its answer or its timeout first. */
  async close(): Promise<void> {
    if (this.#closed) return;
    const wasReady = this.#client.status === 'ready';
    this.#closed = true;
    try {
      if (wasReady) await this.#client.quit();
    } catch {
      // The server is gone already, which is all that was wanted.
    } finally {
      this.#client.disconnect();
    }
  }

  async #send<Reply>(command: () => Promise<Reply>): Promise<Reply> {
    if (this.#client.status !== 'ready' || this.#closed) {
      throw new RedisUnavailableError('not connected');
    }
    if (this.#pending >= PENDING_COMMANDS_MAX) {
      throw new RedisUnavailableError('too many commands are waiting');
    }
    this.#pending += 1;
    try {
      return await command();
    } finally {
      this.#pending -= 1;
    }
  }

  #digestOf(script: RedisScript): string {
    const known = this.#digests.get(script.name);
    if (known !== undefined) return known;
    const digest = createHash('sha1').update(script.lua).digest('hex');
    this.#digests.set(script.name, digest);
    return digest;
  }

  /** A server that is away fails every attempt: one line per interval says so, and how many it stands for. */
  #logRarely(error: unknown): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#lastLoggedMs < LOG_INTERVAL_MS_MIN) {
      this.#unlogged += 1;
      return;
    }
    this.#logger.warn(
      { error: safeError(error), unlogged: this.#unlogged },
      'redis connection failed; reconnecting',
    );
    this.#lastLoggedMs = nowMs;
    this.#unlogged = 0;
  }
}

/** Doubles from 100 ms to 2 s. */
export function reconnectDelayMs(attempt: number): number {
  const doublings = Math.min(Math.max(attempt - 1, 0), 10);
  return Math.min(RECONNECT_DELAY_MS_MIN * 2 ** doublings, RECONNECT_DELAY_MS_MAX);
}

function isUnknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}
