import { setTimeout as pause } from 'node:timers/promises';
import { metricsOf, readBreakers } from '../../../src/cli/breakers.js';
import { must, seconds } from '../screen.js';
import { ask, type Running, type Stage } from '../traffic.js';

/** Opens after this many at the latest; more than half of the calls of a minute have to fail. */
const CALLS_UNTIL_OPEN_MAX = 2_000;
const CALLS_WHILE_OPEN = 20;
const CLOSES_MS_MAX = 60_000;
const PAUSE_MS = 500;
const FAULT = 'status=503';

/** A model that is in trouble: the router leaves it, nobody waits for it, and it comes back by itself. */
export async function failAndRecover(stage: Stage, application: Running): Promise<void> {
  const { screen, installation } = stage;
  const { providers } = installation;
  const { rule, model: requested } = application;
  must(rule !== null, 'the application has no rule');
  const { model } = rule;
  const stateOf = () => breakerOf(stage, model);
  const rows: string[][] = [];
  const tell = async (what: string, calls: number, reached: number, served: string) => {
    const state = await stateOf();
    rows.push([what, String(calls), String(reached), served, state]);
    return state;
  };

  providers.direct(model, FAULT);
  const opening = await untilOpen(stage, application, model);
  await tell(`${model} answers 503`, opening.calls, opening.reached, `${requested}, by fallback`);
  must((await stateOf()) === 'open', 'the breaker does not open');

  const before = providers.asked(model);
  for (let n = 0; n < CALLS_WHILE_OPEN; n += 1) {
    const answer = await ask(stage, application);
    must(answer.status === 200 && answer.served === requested, 'a call met the open breaker');
  }
  const reached = providers.asked(model) - before;
  await tell('while it is open', CALLS_WHILE_OPEN, reached, requested);
  must(reached === 0, 'an open breaker let a call through');

  providers.direct(model, null);
  const closing = await untilServed(stage, application, model);
  const after = await tell('once it answers again', closing.calls, closing.reached, model);
  must(after === 'closed', `the breaker is ${after} after the model came back`);
  screen.table(['', 'calls', `reached ${model}`, 'answered by', 'breaker'], rows);
  screen.say(
    `Every client got an answer. The breaker was closed ${seconds(closing.ms)} after the model came back: it lets one ` +
      'call try after 15 s.',
  );
  screen.found('faults', { model, opening, reached_while_open: reached, closing });
}

async function untilOpen(stage: Stage, application: Running, model: string) {
  const { providers } = stage.installation;
  const from = providers.asked(model);
  for (let calls = 1; calls <= CALLS_UNTIL_OPEN_MAX; calls += 1) {
    const before = providers.asked(model);
    const answer = await ask(stage, application);
    must(answer.status === 200, `a client got ${answer.status} in place of the fallback`);
    must(answer.served === application.model, `${answer.served} served in place of the fallback`);
    stage.screen.progress(`${calls} calls until the breaker opens`);
    const isControl = answer.decision === 'control';
    if (!isControl && providers.asked(model) === before) {
      return { calls, reached: providers.asked(model) - from };
    }
  }
  must(false, 'the breaker does not open');
}

async function untilServed(stage: Stage, application: Running, model: string) {
  const { providers } = stage.installation;
  const from = providers.asked(model);
  const startedAt = performance.now();
  for (let calls = 1; performance.now() - startedAt < CLOSES_MS_MAX; calls += 1) {
    const answer = await ask(stage, application);
    must(answer.status === 200, `a client got ${answer.status}`);
    const ms = performance.now() - startedAt;
    if (answer.served === model) return { calls, reached: providers.asked(model) - from, ms };
    stage.screen.progress(`${seconds(ms)}: the breaker is ${await breakerOf(stage, model)}`);
    await pause(PAUSE_MS, undefined, { signal: stage.signal });
  }
  must(false, 'the breaker does not close');
}

/** As `npm run shunt -- breakers` shows it. */
async function breakerOf({ installation }: Stage, model: string): Promise<string> {
  const all = readBreakers(await metricsOf(installation.origin, null)) ?? [];
  return all.find((one) => one.model === model)?.state ?? 'closed';
}
