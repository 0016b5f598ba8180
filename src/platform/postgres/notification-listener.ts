import { Client } from 'pg';
import { safeError, type Logger } from '../telemetry/logger.js';

export interface Subscription {
  readonly onMessage: (payload: string) => void;
  /**
   * LISTEN has come into effect, for the first time or again after the connection was lost: what was notified
   * before is not repeated, so read the present state now.
   */
  readonly onReconnect?: () => void;
}

const CONNECT_TIMEOUT_MS = 3_000;
const QUERY_TIMEOUT_MS = 3_000;
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 5_000;
/** A connection that the network dropped silently is noticed within this and the query timeout. */
const HEARTBEAT_MS = 10_000;

/** One connection for all LISTEN channels of a process; reconnects by itself for as long as it is open. */
export class NotificationListener {
  readonly #subscriptions = new Map<string, Set<Subscription>>();
  #client: Client | null = null;
  #connecting = false;
  #closed = false;
  #backoffMs = BACKOFF_MS_MIN;
  #timer: NodeJS.Timeout | null = null;
  #heartbeat: NodeJS.Timeout | null = null;

  constructor(
    private readonly url: string,
    private readonly logger: Logger,
  ) {}

  /** Returns what ends the subscription. */
  subscribe(channel: string, subscription: Subscription): () => void {
    if (!/^[a-z][a-z0-9_]{0,62}$/.test(channel)) throw new Error('Not a channel name');
    const existing = this.#subscriptions.get(channel);
    const subscriptions = existing ?? new Set();
    subscriptions.add(subscription);
    this.#subscriptions.set(channel, subscriptions);
    if (this.#client) void this.#listen(this.#client, channel, [subscription]);
    else void this.#connect();
    return () => {
      subscriptions.delete(subscription);
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    if (this.#heartbeat) clearInterval(this.#heartbeat);
    const client = this.#client;
    this.#client = null;
    await client?.end().catch(() => undefined);
  }

  async #connect(): Promise<void> {
    if (this.#closed || this.#connecting || this.#client) return;
    this.#connecting = true;
    const client = new Client({
      connectionString: this.url,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
      application_name: 'shunt-listen',
    });
    client.on('error', () => this.#lost(client));
    client.on('end', () => this.#lost(client));
    client.on('notification', ({ channel, payload }) => this.#deliver(channel, payload ?? ''));
    try {
      await client.connect();
    } catch (error) {
      this.#connecting = false;
      this.logger.warn({ err: error, retryInMs: this.#backoffMs }, 'LISTEN connection failed');
      this.#retryLater();
      return;
    }
    this.#connecting = false;
    if (this.#closed) return void client.end().catch(() => undefined);
    this.#client = client;
    this.#backoffMs = BACKOFF_MS_MIN;
    this.#beat(client);
    for (const [channel, subscriptions] of this.#subscriptions) {
      await this.#listen(client, channel, [...subscriptions]);
    }
  }

  async #listen(client: Client, channel: string, told: readonly Subscription[]): Promise<void> {
    try {
      await client.query(`LISTEN ${channel}`);
    } catch {
      this.#lost(client);
      return;
    }
    for (const subscription of told) this.#guard(() => subscription.onReconnect?.());
  }

  #deliver(channel: string, payload: string): void {
    for (const subscription of this.#subscriptions.get(channel) ?? []) {
      this.#guard(() => subscription.onMessage(payload));
    }
  }

  #beat(client: Client): void {
    if (this.#heartbeat) clearInterval(this.#heartbeat);
    this.#heartbeat = setInterval(() => {
      client.query('SELECT 1').catch(() => this.#lost(client));
    }, HEARTBEAT_MS).unref();
  }

  #lost(client: Client): void {
    if (this.#client !== client) return;
    this.#client = null;
    if (this.#heartbeat) clearInterval(this.#heartbeat);
    client.end().catch(() => undefined);
    if (this.#closed) return;
    this.logger.warn('LISTEN connection lost; reconnecting');
    this.#retryLater();
  }

  #retryLater(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.#connect(), this.#backoffMs).unref();
    this.#backoffMs = Math.min(this.#backoffMs * 2, BACKOFF_MS_MAX);
  }

  /** A subscriber's fault must cut neither the connection nor the other subscribers. */
  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.logger.error({ err: safeError(error) }, 'a LISTEN subscriber threw');
    }
  }
}
