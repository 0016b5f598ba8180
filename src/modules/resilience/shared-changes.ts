import { z } from 'zod';
import { PROVIDERS } from '../../domain/routing/provider.js';
import type { BreakerChange, BreakerTarget } from './breaker.js';
import { COOL_DOWN_MS_MAX, type CoolDown } from './cool-downs.js';
import { MODEL_CHARS_MAX } from './breaker-rules.js';

/** A change as it stands in Redis: ids, names of models and times, nothing else. */
export interface SharedChange {
  readonly name: string;
  readonly value: string;
}

/** A breaker open for more organizations than this, each by itself, is told of these alone. */
const SCOPE_MAX = 32;
const ID_CHARS_MAX = 64;

const id = z.string().max(ID_CHARS_MAX);
const breakerName = z.tuple([
  z.literal('breaker'),
  z.boolean(),
  z.enum(PROVIDERS),
  z.string().max(MODEL_CHARS_MAX),
]);
const coolDownName = z.tuple([z.literal('cool-down'), id, z.string().max(512)]);
const breakerValue = z.object({
  by: id,
  to: z.enum(['open', 'closed']),
  scope: z.union([z.literal('all'), z.array(id).max(SCOPE_MAX)]).default('all'),
  failedProber: id.nullable().default(null),
});
const coolDownValue = z.object({
  by: id,
  coolDown: z
    .object({
      failureClass: z.enum(['rate_limit', 'quota', 'credential', 'model_access']),
      remainingMs: z.number().min(0).max(COOL_DOWN_MS_MAX),
      strikes: z.number().int().min(0).max(64),
    })
    .nullable(),
});

export type ReadChange =
  | {
      readonly kind: 'breaker';
      readonly by: string;
      readonly target: BreakerTarget;
      readonly change: BreakerChange;
    }
  | {
      readonly kind: 'cool-down';
      readonly by: string;
      readonly orgId: string;
      readonly key: string;
      readonly coolDown: CoolDown | null;
    };

/** Null for what only this replica needs to know. */
export function breakerToShare(
  by: string,
  { synthetic, provider, model }: BreakerTarget,
  change: BreakerChange,
): SharedChange | null {
  if (change.to === 'half_open') return null;
  const name = JSON.stringify(['breaker', synthetic, provider, model]);
  if (change.to === 'closed') return { name, value: JSON.stringify({ by, to: 'closed' }) };
  const scope = change.scope === 'all' ? 'all' : [...change.scope].slice(0, SCOPE_MAX);
  const { failedProber } = change;
  return { name, value: JSON.stringify({ by, to: 'open', scope, failedProber }) };
}

/** Clocks of replicas differ: what is told is how long it still lasts. */
export function coolDownToShare(
  by: string,
  orgId: string,
  key: string,
  coolDown: CoolDown | null,
  nowMs: number,
): SharedChange {
  const name = JSON.stringify(['cool-down', orgId, key]);
  const told = coolDown && {
    failureClass: coolDown.failureClass,
    remainingMs: Math.max(0, coolDown.untilMs - nowMs),
    strikes: coolDown.strikes,
  };
  return { name, value: JSON.stringify({ by, coolDown: told }) };
}

/** Null for what another version of Shunt wrote and this one cannot read. */
export function readShared(
  { name, value }: SharedChange,
  ageMs: number,
  nowMs: number,
): ReadChange | null {
  try {
    const names = JSON.parse(name) as unknown;
    const values = JSON.parse(value) as unknown;
    const ofBreaker = breakerName.safeParse(names);
    if (ofBreaker.success) {
      const { by, to, scope, failedProber } = breakerValue.parse(values);
      const [, synthetic, provider, model] = ofBreaker.data;
      const target = { synthetic, provider, model };
      if (to === 'closed') return { kind: 'breaker', by, target, change: { to } };
      const everybody = scope === 'all' ? scope : new Set(scope);
      return { kind: 'breaker', by, target, change: { to, scope: everybody, failedProber } };
    }
    const [, orgId, key] = coolDownName.parse(names);
    const { by, coolDown } = coolDownValue.parse(values);
    if (coolDown === null) return { kind: 'cool-down', by, orgId, key, coolDown };
    const { failureClass, remainingMs, strikes } = coolDown;
    const untilMs = nowMs + remainingMs - ageMs;
    const read = { failureClass, strikes, untilMs, sinceMs: nowMs - ageMs };
    return { kind: 'cool-down', by, orgId, key, coolDown: read };
  } catch {
    return null;
  }
}
