import { failAndRecover } from './chapters/faults.js';
import { kill } from './chapters/kill-switch.js';
import { introduce, observe, passTwoWeeks, review } from './chapters/observation.js';
import { prove } from './chapters/proof.js';
import { enable, readSavings, routed, untilDecided } from './chapters/routing.js';
import { respectWishes } from './chapters/wishes.js';
import { install, type Installation } from './installation.js';
import type { DemoOptions } from './options.js';
import { gatherPrompts } from './prompts.js';
import { must, seconds, usd, type Screen } from './screen.js';
import type { Running, Stage } from './traffic.js';

/** The chapters in their order. Throws where one does not show what it should; leaves nothing behind either way. */
export async function tell(
  options: DemoOptions,
  screen: Screen,
  signal: AbortSignal,
): Promise<void> {
  const startedAt = performance.now();
  const prompts = await gatherPrompts(options.file);
  screen.say('Everything here is synthetic: the providers are simulated, no model answers.');
  screen.chapter(1, 'Start');
  const installation = await install();
  try {
    signal.throwIfAborted();
    const { origin, directory } = installation;
    const startMs = performance.now() - startedAt;
    screen.say(
      `Shunt and its Postgres run at ${origin}, since ${seconds(startMs)}; data in ${directory}.`,
    );
    screen.say(
      `Prompts: ${prompts.count}, ${prompts.source === 'file' ? options.file : 'generated'}.`,
    );
    screen.found('start', { start_ms: startMs, prompts: prompts.count, source: prompts.source });
    await tellChapters({ installation, prompts, screen, signal }, options.calls);
    await summarise({ installation, prompts, screen, signal }, performance.now() - startedAt);
  } catch (error) {
    for (const line of installation.warnings()) process.stderr.write(line);
    throw error;
  } finally {
    screen.progress('stopping', true);
    await installation.close();
    screen.endProgress();
  }
}

async function tellChapters(stage: Stage, calls: number): Promise<void> {
  const { screen } = stage;
  const observed = Math.ceil(calls / 2);
  screen.chapter(2, 'Applications, and what they call');
  const applications = await introduce(stage);
  const named = (name: string): Running => {
    const found = applications.find((one) => one.name === name);
    must(found !== undefined, `there is no application ${name}`);
    return found;
  };
  await observe(stage, applications, observed);
  screen.chapter(3, 'Two weeks of observation, in the clock of the job');
  await passTwoWeeks(stage);
  screen.chapter(4, 'The report');
  const reportId = await review(stage, observed);
  screen.chapter(5, 'Routing is enabled');
  await enable(stage, applications, reportId);
  const first = await untilDecided(stage, named('Ticket triage'));
  screen.chapter(6, 'Routed calls, and what they saved');
  await routed(stage, applications, calls - observed, first);
  screen.chapter(7, 'A model fails, and comes back');
  await failAndRecover(stage, named('Nightly extraction'));
  screen.chapter(8, 'Wishes');
  await respectWishes(stage, named('Ticket triage'), named('Contract review'));
  screen.chapter(9, 'The kill switch');
  await kill(stage, named('Ticket triage'));
  screen.chapter(10, 'Proof');
  await prove(stage);
}

async function summarise(stage: Stage & { installation: Installation }, ms: number): Promise<void> {
  const { screen, installation } = stage;
  const records = await installation.records();
  const { total } = await readSavings(stage);
  const real = records.filter(({ synthetic }) => !synthetic).length;
  must(real === 0, `${real} records are not marked as synthetic`);
  screen.chapter(11, 'Summary');
  screen.facts([
    ['calls recorded, all synthetic', String(records.length)],
    ['entries of the ledger', String(total.entries)],
    ['baseline of these', `${usd(total.baseline_nano_usd)} USD`],
    ['actual', `${usd(total.actual_nano_usd)} USD`],
    ['saved', `${usd(total.savings_nano_usd)} USD`],
    ['the demo took', seconds(ms)],
  ]);
  screen.say(
    'List prices are real, the length of answers is made up: what you would save, your own calls tell.',
  );
  screen.found('summary', { records: records.length, total, took_ms: ms });
}
