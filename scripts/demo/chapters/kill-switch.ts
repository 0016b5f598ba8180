import { must } from '../screen.js';
import { ask, type Running, type Stage } from '../traffic.js';

const AT_ONCE = 4;
const BEFORE_MS = 1_000;
const AFTER_MS = 2_000;
const PROMISED_MS = 1_000;

interface Timed {
  readonly beganAt: number;
  readonly decision: string;
}

/** Under steady traffic an operator stops routing; how long calls are routed after that is measured. */
export async function kill(stage: Stage, application: Running): Promise<void> {
  const { screen, installation } = stage;
  const { operator, orgId } = installation;
  const calls: Timed[] = [];
  const ending = new AbortController();
  const traffic = Array.from({ length: AT_ONCE }, async () => {
    while (!ending.signal.aborted) {
      const beganAt = performance.now();
      const { decision } = await ask(stage, application);
      calls.push({ beganAt, decision });
    }
  });
  const all = Promise.all(traffic);
  let askedAt = 0;
  let answeredAt = 0;
  try {
    await Promise.race([all, passing(BEFORE_MS)]);
    askedAt = performance.now();
    await operator.ask('POST', `/organizations/${orgId}/kill`, { reason: 'demo: shown to you' });
    answeredAt = performance.now();
    await Promise.race([all, passing(AFTER_MS)]);
  } finally {
    ending.abort();
    await all.catch(() => undefined);
  }
  await all;
  const isRouted = ({ decision }: Timed): boolean => decision !== 'passthrough';
  const before = calls.filter(({ beganAt }) => beganAt < askedAt);
  const later = calls.filter(({ beganAt }) => beganAt > answeredAt);
  const last = Math.max(answeredAt, ...later.filter(isRouted).map(({ beganAt }) => beganAt));
  const switchMs = answeredAt - askedAt;
  const afterMs = last - answeredAt;
  must(before.some(isRouted), 'nothing was routed before the kill');
  must(later.length > 0 && !isRouted(later.at(-1)!), 'calls are routed after the kill');
  must(afterMs < PROMISED_MS, `a call was routed ${Math.round(afterMs)} ms after the kill`);
  const { status, hold } = await installation.owner.get<{ status: string; hold: boolean }>(
    '/organization',
  );
  must(status === 'observing' && hold, `after the kill the status is ${status}`);
  screen.facts([
    ['calls before it / after it', `${before.length} / ${later.length}`],
    ['the switch answered after', `${Math.round(switchMs)} ms`],
    ['last routed call began after that', `${Math.round(afterMs)} ms`],
    ['promised', `${PROMISED_MS} ms`],
    ['status', `${status}, held until an operator releases it`],
  ]);
  screen.found('kill_switch', { switch_ms: switchMs, last_routed_after_ms: afterMs, status, hold });
}

function passing(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
