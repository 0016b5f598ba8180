import { randomUUID } from 'node:crypto';
import type { Clock } from '../../platform/clock.js';
import type { RedisConnection } from '../../platform/redis/redis-connection.js';
import { RESET_MS } from './breaker-rules.js';
import type { Breakers } from './breakers.js';
import type { CoolDowns } from './cool-downs.js';
import {
  breakerToShare,
  coolDownToShare,
  readShared,
  type SharedChange,
} from './shared-changes.js';
import { EXCHANGE_SCRIPT } from './sharing-scripts.js';

const POLL_INTERVAL_MS = 400;
/** Changes that wait for Redis; of one name only the latest, and beyond this the oldest go. */
const WAITING_MAX = 2_000;
/** Changes that one question tells. */
const TOLD_MAX = 500;
/** Questions in a row, where there is much to tell or to learn. */
const QUESTIONS_MAX = 20;
/** An open breaker of which nobody has said anything since is somebody's who is gone. */
const OPEN_AGE_MS_MAX = 2 * RESET_MS;

const KEYS = ['state', 'order', 'values'].map((part) => `shunt:{resilience}:${part}`);

export interface ResilienceSharingParts {
  readonly redis: Pick<RedisConnection, 'evalScript' | 'status'>;
  readonly breakers: Breakers;
  readonly coolDowns: CoolDowns;
  readonly clock: Clock;
  readonly replicaId: string;
}

/**
 * Tells the other replicas what changed here and takes in what changed there, within half a second while Redis
 * answers. Nobody waits for it; while Redis is away each replica has what it knows.
 */
export class ResilienceSharing {
  readonly #waiting = new Map<string, string>();
  #line = '';
  #known = '0';
  #exchanging = false;
  #stopped = false;
  #soon: NodeJS.Immediate | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(private readonly parts: ResilienceSharingParts) {
    const { breakers, coolDowns, clock, replicaId } = parts;
    breakers.onChange((target, change, isOwn) => {
      if (isOwn) this.#tell(breakerToShare(replicaId, target, change));
    });
    coolDowns.onChange((orgId, key, coolDown) => {
      this.#tell(coolDownToShare(replicaId, orgId, key, coolDown, clock.nowMs()));
    });
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.exchange(), POLL_INTERVAL_MS).unref();
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#soon !== null) clearImmediate(this.#soon);
  }

  /** Never rejects. */
  async exchange(): Promise<void> {
    if (this.#exchanging || this.#stopped || this.parts.redis.status() !== 'ready') return;
    this.#exchanging = true;
    try {
      for (let question = 0; question < QUESTIONS_MAX; question += 1)
        if ((await this.#ask()) && this.#waiting.size === 0) break;
    } catch {
      // Away: what was to be told still waits, and the next question tells it.
    } finally {
      this.#exchanging = false;
    }
  }

  /** True where there is nothing more to learn. */
  async #ask(): Promise<boolean> {
    const telling = [...this.#waiting].slice(0, TOLD_MAX);
    const reply = await this.parts.redis.evalScript(EXCHANGE_SCRIPT, KEYS, [
      randomUUID(),
      this.#line,
      this.#known,
      ...telling.flat(),
    ]);
    if (this.#stopped) return true;
    for (const [name, value] of telling)
      if (this.#waiting.get(name) === value) this.#waiting.delete(name);
    if (!Array.isArray(reply)) throw new TypeError('unexpected reply to an exchange');
    const [line, known, isAll, ...changes] = reply as unknown[];
    const isAnother = String(line) !== this.#line;
    // Redis began anew: it does not know what this replica does.
    if (isAnother && this.#line !== '') this.#tellAll();
    this.#line = String(line);
    this.#known = String(known);
    for (let i = 0; i + 2 < changes.length; i += 3)
      this.#take(
        { name: String(changes[i]), value: String(changes[i + 1]) },
        Number(changes[i + 2]),
      );
    return isAll === 1;
  }

  #take(shared: SharedChange, ageMs: number): void {
    const { breakers, coolDowns, clock, replicaId } = this.parts;
    // What changed here meanwhile is newer.
    if (this.#waiting.has(shared.name)) return;
    const read = readShared(shared, ageMs, clock.nowMs());
    if (read === null || read.by === replicaId) return;
    if (read.kind === 'cool-down') coolDowns.told(read.orgId, read.key, read.coolDown);
    else if (read.change.to === 'closed' || ageMs < OPEN_AGE_MS_MAX)
      breakers.told(read.target, read.change);
  }

  #tellAll(): void {
    const { breakers, coolDowns, clock, replicaId } = this.parts;
    for (const [target, change] of breakers.toTell())
      this.#put(breakerToShare(replicaId, target, change));
    for (const [orgId, key, coolDown] of coolDowns.toTell())
      this.#put(coolDownToShare(replicaId, orgId, key, coolDown, clock.nowMs()));
  }

  #tell(change: SharedChange | null): void {
    if (change === null || this.#stopped) return;
    this.#put(change);
    this.#soon ??= setImmediate(() => {
      this.#soon = null;
      void this.exchange();
    }).unref();
  }

  #put(change: SharedChange | null): void {
    if (change === null) return;
    this.#waiting.delete(change.name);
    if (this.#waiting.size >= WAITING_MAX) {
      for (const oldest of this.#waiting.keys()) {
        this.#waiting.delete(oldest);
        break;
      }
    }
    this.#waiting.set(change.name, change.value);
  }
}
