import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CrashingDatabase } from './crashing-database.js';
import { funnelRig, type FunnelRig, type FunnelState } from './funnel-rig.js';

let rig: FunnelRig;
// A database each: a run takes the steps of all organizations, and those of another scene have some due.
beforeEach(async () => {
  rig = await funnelRig();
});
afterEach(() => rig?.close());

/** Times at which everything that a run does is due, in one moment or another. */
const SCENES = [
  { name: 'at the first call', before: [], day: 0 },
  { name: 'at the interim report', before: [0], day: 7 },
  { name: 'at a reminder', before: [0], day: 11 },
  { name: 'at the end', before: [0, 13], day: 14 },
  { name: 'after the end', before: [0, 14], day: 17 },
  { name: 'after an outage of the whole observation', before: [], day: 20 },
] as const;
const MOMENTS_MAX = 1_000;
/** Some hundred crashes, each with an organization of its own, on a machine that has other things to do. */
const SCENE_MS_MAX = 240_000;

async function arrange(before: readonly number[]): Promise<string> {
  const orgId = await rig.organization();
  await rig.calls(orgId, [{}, { synthetic: true }], 0);
  for (const day of before) {
    rig.clock.day = day;
    await rig.funnel().runDue();
  }
  return orgId;
}

/** Entries of the trail have their numbers in a mail's key; another organization has others. */
const comparable = (state: FunnelState): FunnelState => ({
  ...state,
  mails: state.mails.map((mail) => mail.replace(/status:\d+/, 'status:n')),
});

async function duplicates(orgId: string): Promise<unknown[]> {
  return rig.db.database.tenant(orgId, (q) =>
    q.query(
      `SELECT kind, recipient_user_id FROM outbox GROUP BY kind, recipient_user_id HAVING count(*) > 1`,
    ),
  );
}

describe.each(SCENES)('$name', ({ before, day }) => {
  test(
    'a crash at any moment of a run loses nothing and repeats nothing',
    { timeout: SCENE_MS_MAX },
    async () => {
      const untouched = await arrange(before);
      rig.clock.day = day;
      await rig.funnel().runDue();
      const expected = comparable(await rig.state(untouched));
      expect(expected.mails.length).toBeGreaterThan(0);
      let crashes = 0;
      for (let moment = 1; ; moment += 1) {
        expect(moment).toBeLessThan(MOMENTS_MAX);
        const orgId = await arrange(before);
        rig.clock.day = day;
        const database = new CrashingDatabase(rig.db.database, moment);
        const running = rig.funnel(database.asDatabase).runDue();
        await running.catch(() => undefined);
        if (database.died) {
          crashes += 1;
          await expect(running).rejects.toThrow();
          await rig.funnel().runDue();
        }
        const state = comparable(await rig.state(orgId));
        expect({ moment, ...state }).toEqual({ moment, ...expected });
        expect(await duplicates(orgId)).toEqual([]);
        if (!database.died) break;
      }
      // Two moments around each of the queries: fewer, and something was not watched.
      expect(crashes).toBeGreaterThanOrEqual(20);
    },
  );
});

test('one that crashes again and again ends where one that does not would', async () => {
  const untouched = await arrange([]);
  rig.clock.day = 20;
  await rig.funnel().runDue();
  const expected = comparable(await rig.state(untouched));
  const orgId = await arrange([]);
  rig.clock.day = 20;
  for (let moment = 1; moment < MOMENTS_MAX; moment += 3) {
    const database = new CrashingDatabase(rig.db.database, moment);
    await rig
      .funnel(database.asDatabase)
      .runDue()
      .catch(() => undefined);
    if (!database.died) break;
  }
  expect(comparable(await rig.state(orgId))).toEqual(expected);
  expect(await duplicates(orgId)).toEqual([]);
});

test('two workers at once do together what one does alone', async () => {
  const organizations = [];
  for (let i = 0; i < 5; i += 1) organizations.push(await arrange([]));
  const untouched = await arrange([]);
  const second = await rig.db.connect();
  try {
    for (const day of [0, 7, 11, 13, 14, 17, 18]) {
      rig.clock.day = day;
      await Promise.all([
        rig.funnel().runDue(),
        rig.funnel(second).runDue(),
        rig.funnel().runDue(),
      ]);
    }
    const expected = comparable(await rig.state(untouched));
    expect(expected.steps).toHaveLength(6);
    expect(expected.mails).toHaveLength(7);
    for (const orgId of organizations) {
      expect(comparable(await rig.state(orgId))).toEqual(expected);
      expect(await duplicates(orgId)).toEqual([]);
    }
  } finally {
    await second.close();
  }
});
