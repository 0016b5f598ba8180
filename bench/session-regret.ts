import {
  closePairs,
  closeSessions,
  excess,
  grouped,
  regretTable,
  simulate,
} from '../test/integration/session-routing/regret.js';

/**
 * The policy for sessions against always-stay, always-switch and an oracle that knows each session whole, over more
 * sessions than the test has time for. Everything is synthetic; nothing is sent anywhere.
 *
 *     node --enable-source-maps dist/bench/session-regret.js [sessions per family and pair]
 */
const SESSIONS = Number(process.argv[2] ?? 200);
/** Close calls take more sessions to tell from chance. */
const CLOSE = 8;

for (const observed of [true, false]) {
  const rows = simulate(() => SESSIONS, observed);
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
  const close = simulate(
    (family) => closeSessions(family, CLOSE * SESSIONS),
    observed,
    closePairs(),
  );
  const named = grouped(close, ({ group, pair }) => `${group}: ${pair}`);
  const dearest = (row: (typeof named)[number]): number =>
    Math.max(
      excess(row.policyNanoUsd, row.stayNanoUsd),
      excess(row.policyNanoUsd, row.switchNanoUsd),
    );
  console.log(
    regretTable(
      'close calls, worst first',
      named.toSorted((a, b) => dearest(b) - dearest(a)),
    ),
  );
}
