import {
  closePairs,
  closeSessions,
  grouped,
  regretTable,
  simulate,
  worstFirst,
} from '../test/integration/session-routing/regret.js';

/**
 * The policy for sessions against always-stay, always-switch and an oracle that knows each session whole, over more
 * sessions than the test has time for. Everything is synthetic; nothing is sent anywhere.
 *
 *     node --enable-source-maps dist/bench/session-regret.js [sessions per family and pair] [seed]
 */
const SESSIONS = Number(process.argv[2] ?? 200);
const SEED = Number(process.argv[3] ?? 1);
/** Close calls take more sessions to tell from chance. */
const CLOSE = 8;
const WORST_ROWS = 20;

for (const observed of [true, false]) {
  const rows = simulate(() => SESSIONS, observed, SEED);
  console.log(observed ? '\nAfter an observation of 400 sessions' : '\nWithout any observation');
  console.log(
    regretTable(
      'family',
      grouped(rows, ({ group }) => group),
    ),
  );
  console.log(
    regretTable(
      'pair',
      grouped(rows, ({ pair }) => pair),
    ),
  );
  console.log(regretTable('family and pair, worst first', worstFirst(rows).slice(0, WORST_ROWS)));
  const close = simulate(
    (family) => closeSessions(family, CLOSE * SESSIONS),
    observed,
    SEED,
    closePairs(),
  );
  console.log(regretTable('close calls, worst first', worstFirst(close)));
}
