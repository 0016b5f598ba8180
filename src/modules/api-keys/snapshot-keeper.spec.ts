import { expect, test } from 'vitest';
import { createLogger } from '../../platform/telemetry/logger.js';
import type { KeyOnDisk } from './principal-snapshot.js';
import type { SnapshotFile } from './snapshot-file.js';
import { SNAPSHOT_AGE_MS_MAX, SnapshotKeeper, whyUnusable, type Kept } from './snapshot-keeper.js';

const NOW_MS = 1_790_000_000_000;

class Rig {
  nowMs = NOW_MS;
  readonly written: number[] = [];
  readonly warmed: string[] = [];
  away = false;
  readonly directory = {
    revision: 1,
    isSettled: true as boolean,
    *onDisk(): Generator<KeyOnDisk> {
      // Nothing of it matters here.
    },
    warm: async (digests: Iterable<string>): Promise<void> => {
      if (this.away) throw new Error('away');
      this.warmed.push(...digests);
    },
  } satisfies Kept;

  keeper(previous: readonly string[] | null = null): SnapshotKeeper {
    const file = {
      write: async (_entries: unknown, _max: number, confirmedAtMs: number) => {
        this.written.push(confirmedAtMs);
        return 0;
      },
    } as unknown as SnapshotFile;
    const entries = () => (previous ?? []).map((digest) => ({ digest }) as KeyOnDisk);
    const snapshot = previous && { confirmedAtMs: 0, keys: previous.length, entries };
    const clock = { nowMs: () => this.nowMs };
    return new SnapshotKeeper(file, this.directory, clock, createLogger('silent'), snapshot);
  }
}

test('a snapshot is good for 24 hours after the database confirmed it, and an empty one for nothing', () => {
  const taken = (confirmedAtMs: number, keys = 1) => ({ confirmedAtMs, keys, entries: () => [] });
  expect(whyUnusable(taken(NOW_MS - SNAPSHOT_AGE_MS_MAX), NOW_MS)).toBeNull();
  expect(whyUnusable(taken(NOW_MS - SNAPSHOT_AGE_MS_MAX - 1), NOW_MS)).toContain('24 hours');
  expect(whyUnusable(taken(NOW_MS + 2 * SNAPSHOT_AGE_MS_MAX), NOW_MS)).not.toBeNull();
  expect(whyUnusable(taken(NOW_MS, 0), NOW_MS)).toContain('no key');
});

test('nothing is written that the database has not confirmed, or while keys wait to be read again', async () => {
  const rig = new Rig();
  const keeper = rig.keeper();
  await keeper.tick();
  expect(rig.written).toEqual([]);
  keeper.confirmed();
  rig.directory.isSettled = false;
  await keeper.tick();
  expect(rig.written).toEqual([]);
  rig.directory.isSettled = true;
  await keeper.tick();
  expect(rig.written).toEqual([NOW_MS]);
});

test('a restart that cannot confirm its keys never makes an old snapshot younger', async () => {
  const rig = new Rig();
  const keeper = rig.keeper();
  keeper.confirmed();
  rig.nowMs += 60_000;
  rig.directory.revision += 1;
  await keeper.stop();
  expect(rig.written).toEqual([NOW_MS]);
});

test('unchanged, it is written again only to stay young, and at the end only where something changed', async () => {
  const rig = new Rig();
  const keeper = rig.keeper();
  keeper.confirmed();
  await keeper.tick();
  await keeper.stop();
  expect(rig.written).toHaveLength(1);
  rig.nowMs += 20 * 60_000;
  keeper.confirmed();
  await keeper.stop();
  expect(rig.written).toEqual([NOW_MS, rig.nowMs]);
});

test('a change of the last moment is in it, also where its key is still being read', async () => {
  const rig = new Rig();
  const keeper = rig.keeper();
  keeper.confirmed();
  rig.directory.isSettled = false;
  setTimeout(() => {
    rig.directory.isSettled = true;
  }, 30);
  await keeper.stop();
  expect(rig.written).toEqual([NOW_MS]);
});

test('the keys of the last run are all read again before the first write, whatever goes wrong meanwhile', async () => {
  const rig = new Rig();
  const keeper = rig.keeper(['a', 'b']);
  keeper.confirmed();
  rig.away = true;
  await keeper.tick();
  expect(rig.written).toEqual([]);
  rig.away = false;
  await keeper.tick();
  expect([rig.warmed, rig.written]).toEqual([['a', 'b'], [NOW_MS]]);
});
