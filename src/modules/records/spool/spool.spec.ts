import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { RecorderRig } from '../../../../test/integration/records/recorder-rig.js';
import { finalOf, startOf } from '../../../../test/integration/records/record-samples.js';

const noted = (): void => undefined;

describe('the spool', () => {
  it('writes all records of one turn as one frame, before telling anybody', () => {
    const rig = new RecorderRig();
    const { recorder, schedule } = rig.process();
    recorder.start(startOf(rig.time.nowMs()), noted);
    schedule.turn();
    const before = rig.files.writes;
    const order: string[] = [];
    for (const name of ['one', 'two', 'three']) {
      recorder.start(startOf(rig.time.nowMs()), () => order.push(`${name} ${rig.files.writes}`));
    }
    expect(order).toEqual([]);
    expect(rig.files.writes).toBe(before);
    schedule.turn();
    expect(order).toEqual(['one', 'two', 'three'].map((name) => `${name} ${before + 1}`));
  });

  it('goes on telling the others when one callback throws', () => {
    const rig = new RecorderRig();
    const { recorder, schedule } = rig.process();
    const told: string[] = [];
    recorder.start(startOf(1), () => {
      throw new Error('caller');
    });
    recorder.start(startOf(2), () => told.push('second'));
    schedule.turn();
    expect(told).toEqual(['second']);
  });

  it('calls nobody back inside their own call, however large the turn', () => {
    const rig = new RecorderRig({ groupChars: 500 });
    const { recorder, schedule } = rig.process();
    let told = 0;
    for (let n = 0; n < 10; n++) recorder.start(startOf(n), () => (told += 1));
    expect(rig.files.writes).toBeGreaterThan(2);
    expect(told).toBe(0);
    schedule.turn();
    expect(told).toBe(10);
  });

  it('leaves out what only describes a record that is too long, and keeps its money', async () => {
    const rig = new RecorderRig({ recordChars: 4_000 });
    const live = rig.process();
    const final = finalOf(startOf(1), { tags: ['x'.repeat(5_000)] });
    live.recorder.finish(final, noted);
    await live.drain();
    expect(rig.database.rows.get(final.request_id)).toMatchObject({
      tags: [],
      cost_nano_usd: final.cost_nano_usd,
    });
    expect(await live.metric('shunt_records_trimmed_total')).toBe(1);
  });

  it('counts a record that cannot be kept as lost, and still lets the call go on', async () => {
    const rig = new RecorderRig({ recordChars: 100 });
    const live = rig.process();
    let told = false;
    live.recorder.finish(finalOf(startOf(1)), () => (told = true));
    live.turn();
    expect(told).toBe(true);
    expect(await live.metric('shunt_spool_lost_records_total')).toBe(1);
  });

  it('never throws into the caller, not even for what is no JSON', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    const final = finalOf(startOf(1), { classification: { gain: 1n } });
    expect(() => live.recorder.finish(final, noted)).not.toThrow();
    live.turn();
    expect(await live.metric('shunt_spool_lost_records_total')).toBe(1);
  });
});

describe('segments', () => {
  it('are ended at their size and deleted once Postgres has their records', async () => {
    const rig = new RecorderRig({ segmentBytes: 4_000 });
    const live = rig.process();
    for (let n = 0; n < 20; n++) {
      live.recorder.finish(finalOf(startOf(n)), noted);
      live.turn();
    }
    expect(rig.segments().length).toBeGreaterThan(5);
    await live.drain();
    expect(rig.segments()).toHaveLength(1);
  });

  it('are ended at their age', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    live.recorder.finish(finalOf(startOf(1)), noted);
    await live.drain();
    expect(rig.segments()).toHaveLength(1);
    rig.time.advance(60_000);
    await live.recorder.housekeep();
    expect(rig.segments()).toHaveLength(0);
  });

  it('do not stay for a long stream: its start is carried over', async () => {
    const rig = new RecorderRig({ segmentBytes: 4_000 });
    const live = rig.process();
    const stream = startOf(rig.time.nowMs());
    live.recorder.start(stream, noted);
    live.turn();
    for (let n = 0; n < 40; n++) {
      live.recorder.finish(finalOf(startOf(n)), noted);
      await live.drain();
    }
    expect(rig.segments().length).toBeLessThanOrEqual(2);
    live.kill();
    const survivor = rig.process();
    await survivor.adopt();
    expect(rig.database.rows.get(stream.request_id)).toMatchObject({ outcome: 'interrupted' });
  });

  it('are not deleted before the final that ends their start is on disk', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    const start = startOf(1);
    live.recorder.start(start, noted);
    live.turn();
    rig.time.advance(60_000);
    live.recorder.finish(finalOf(start), noted);
    await live.recorder.housekeep();
    live.kill();
    const survivor = rig.process();
    await survivor.adopt();
    expect(rig.database.rows.get(start.request_id)).toMatchObject({ outcome: 'interrupted' });
  });

  it('and their directory are gone after a clean close', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    const start = startOf(1);
    live.recorder.start(start, noted);
    live.recorder.finish(finalOf(start), noted);
    await live.recorder.close(1_000);
    expect(rig.files.paths()).toEqual([]);
    expect(rig.files.list('/data/spool')).toEqual([]);
    expect(rig.database.rows.size).toBe(1);
  });

  it('are forced to the disk by the timer only if something was written', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    live.recorder.start(startOf(1), noted);
    live.turn();
    await live.recorder.housekeep();
    await live.recorder.housekeep();
    expect(rig.files.syncs).toBe(1);
  });
});

describe('a disk that refuses', () => {
  it.each(['ENOSPC', 'EIO'])('with %s delays no call and loses no record', async (code) => {
    const rig = new RecorderRig();
    const live = rig.process();
    rig.files.fail('write', code);
    const start = startOf(1);
    let told = 0;
    live.recorder.start(start, () => (told += 1));
    live.recorder.finish(finalOf(start), () => (told += 1));
    live.turn();
    expect(told).toBe(2);
    await live.drain();
    expect(rig.database.rows.get(start.request_id)?.revision).toBe(1);
    expect(await live.metric('shunt_spool_write_failures_total')).toBe(1);
    expect(await live.metric('shunt_spool_lost_records_total')).toBe(0);
  });

  it('is tried again once a second, not for every record', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    rig.files.fail('create', 'ENOSPC');
    for (let n = 0; n < 100; n++) {
      live.recorder.start(startOf(n), noted);
      live.turn();
    }
    expect(await live.metric('shunt_spool_write_failures_total')).toBe(1);
    rig.time.advance(1_000);
    live.recorder.start(startOf(1_000), noted);
    live.turn();
    expect(await live.metric('shunt_spool_write_failures_total')).toBe(2);
  });

  it('gets what it missed once it takes records again, so that a crash after that loses nothing', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    rig.database.down = true;
    rig.files.fail('write', 'ENOSPC');
    const [ended, open] = [startOf(1), startOf(2)];
    live.recorder.start(ended, noted);
    live.recorder.start(open, noted);
    live.recorder.finish(finalOf(ended), noted);
    await live.drain();
    rig.files.fail('write', null);
    rig.time.advance(1_000);
    await live.recorder.housekeep();
    live.turn();
    live.kill();

    rig.database.down = false;
    await rig.process().adopt();
    expect(rig.database.rows.get(ended.request_id)?.outcome).toBe('completed');
    expect(rig.database.rows.get(open.request_id)?.outcome).toBe('interrupted');
  });

  it('that takes half a frame and then no more spoils nothing written before or after', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    rig.database.down = true;
    const finals = [1, 2, 3].map((n) => finalOf(startOf(n)));
    live.recorder.finish(finals[0]!, noted);
    live.turn();
    rig.files.room = 300;
    live.recorder.finish(finals[1]!, noted);
    live.turn();
    rig.files.room = null;
    rig.time.advance(1_000);
    live.recorder.finish(finals[2]!, noted);
    live.turn();
    live.kill();

    rig.database.down = false;
    const survivor = rig.process();
    await survivor.adopt();
    expect([...rig.database.rows.keys()].toSorted()).toEqual(
      finals.map((final) => final.request_id).toSorted(),
    );
    expect(await survivor.metric('shunt_spool_damaged_frames_total')).toBe(1);
  });

  it('loses records only when memory is full too, and counts each', async () => {
    const rig = new RecorderRig({ queuedRecords: 10 });
    const live = rig.process();
    rig.database.down = true;
    rig.files.fail('create', 'ENOSPC');
    for (let n = 0; n < 15; n++) live.recorder.finish(finalOf(startOf(n)), noted);
    live.turn();
    expect(await live.metric('shunt_spool_lost_records_total')).toBe(5);
    rig.database.down = false;
    await live.drain();
    expect(rig.database.rows.size).toBe(10);
  });

  it('counts what is in memory alone as lost when the process closes without Postgres', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    rig.database.down = true;
    rig.files.fail('create', 'ENOSPC');
    for (let n = 0; n < 3; n++) live.recorder.finish(finalOf(startOf(n)), noted);
    const closing = live.recorder.close(1_000);
    live.schedule.advance(1_000);
    await closing;
    expect(await live.metric('shunt_spool_lost_records_total')).toBe(3);
  });

  it('starts another segment when it fails to keep what it took', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    const open = startOf(1);
    live.recorder.start(open, noted);
    live.turn();
    rig.files.fail('sync', 'EIO');
    await live.recorder.housekeep();
    rig.files.fail('sync', null);
    rig.time.advance(1_000);
    live.recorder.start(startOf(2), noted);
    live.turn();
    await live.recorder.housekeep();
    expect(await live.metric('shunt_spool_write_failures_total')).toBeGreaterThanOrEqual(1);
    const [remaining, ...others] = rig.segments();
    expect(remaining).toMatch(/00000002\.seg$/);
    expect(others).toEqual([]);
  });
});

describe('bounds', () => {
  it('behaves at the maximum of the directory as on a full disk, and recovers', async () => {
    const rig = new RecorderRig({ spoolBytes: 6_000, segmentBytes: 2_000 });
    const live = rig.process();
    rig.database.down = true;
    for (let n = 0; n < 20; n++) {
      live.recorder.finish(finalOf(startOf(n)), noted);
      live.turn();
    }
    expect(await live.metric('shunt_spool_write_failures_total')).toBe(1);
    rig.database.down = false;
    await live.drain();
    expect(rig.database.rows.size).toBe(20);
    rig.time.advance(1_000);
    live.recorder.finish(finalOf(startOf(99)), noted);
    live.turn();
    expect(await live.metric('shunt_spool_write_failures_total')).toBe(1);
  });

  it('counts the spools of others towards the maximum', async () => {
    const rig = new RecorderRig({ spoolBytes: 6_000 });
    rig.files.makeDirectory('/data/spool/dead-letter');
    rig.files.writeText('/data/spool/dead-letter/x.seg', 'x'.repeat(5_900));
    const live = rig.process();
    live.recorder.lookForOrphans();
    live.recorder.finish(finalOf(startOf(1)), noted);
    live.turn();
    expect(await live.metric('shunt_spool_write_failures_total')).toBe(1);
  });

  it('reads back from disk what found the queue full: memory is bounded and nothing is lost', async () => {
    const rig = new RecorderRig({ queuedRecords: 10, segmentBytes: 20_000 });
    const live = rig.process();
    rig.database.down = true;
    for (let n = 0; n < 200; n++) {
      live.recorder.finish(finalOf(startOf(n)), noted);
      live.turn();
    }
    await live.drain();
    expect(rig.database.rows.size).toBe(0);
    rig.database.down = false;
    await live.drain();
    expect(rig.database.rows.size).toBe(200);
    expect(await live.metric('shunt_spool_lost_records_total')).toBe(0);
    rig.time.advance(60_000);
    await live.recorder.housekeep();
    expect(rig.segments()).toEqual([]);
  });

  it('keeps what it read back on disk until Postgres has it', async () => {
    const rig = new RecorderRig({ queuedRecords: 4, segmentBytes: 5_000 });
    const live = rig.process();
    const finals = Array.from({ length: 12 }, (_, n) => finalOf(startOf(n)));
    rig.database.down = true;
    for (const final of finals) {
      live.recorder.finish(final, noted);
      live.turn();
    }
    rig.database.down = false;
    const late = new Set(finals.slice(4).map((final) => final.request_id));
    rig.database.refuse = (record) => (late.has(record.request_id) ? '55P03' : null);
    for (let n = 0; n < 10; n++) await live.recorder.writer.pass();
    rig.time.advance(60_000);
    await live.recorder.housekeep();
    live.kill();

    rig.database.refuse = () => null;
    await rig.process().adopt();
    expect(rig.database.rows.size).toBe(12);
  });

  it('of calls under way: the oldest counts as interrupted until its end is heard of after all', async () => {
    const rig = new RecorderRig({ openStarts: 2 });
    const live = rig.process();
    const starts = [1, 2, 3].map((n) => startOf(n));
    for (const start of starts) live.recorder.start(start, noted);
    await live.drain();
    expect([...rig.database.rows.keys()]).toEqual([starts[0]!.request_id]);
    live.recorder.finish(finalOf(starts[0]!), noted);
    await live.drain();
    expect(rig.database.rows.get(starts[0]!.request_id)?.outcome).toBe('completed');
  });
});

describe('key rotation', () => {
  it('replays a spool written under the previous key', async () => {
    const [old, fresh] = [randomBytes(32), randomBytes(32)];
    const rig = new RecorderRig({}, { current: old, previous: null });
    const before = rig.process();
    const start = startOf(1);
    before.recorder.start(start, noted);
    before.turn();
    before.kill();
    const after = rig.process({ encryptionKeys: { current: fresh, previous: old } });
    await after.adopt();
    expect(rig.database.rows.has(start.request_id)).toBe(true);
  });

  it('puts aside what no key opens, and replays it once a process knows the key', async () => {
    const [old, fresh] = [randomBytes(32), randomBytes(32)];
    const rig = new RecorderRig({}, { current: old, previous: null });
    const before = rig.process();
    const start = startOf(1);
    before.recorder.start(start, noted);
    before.turn();
    before.kill();

    const ignorant = rig.process({ encryptionKeys: { current: fresh, previous: null } });
    await ignorant.adopt();
    expect(await ignorant.metric('shunt_spool_unreadable_segments_total')).toBe(1);
    expect(rig.files.list('/data/spool/unreadable')).toHaveLength(1);
    ignorant.kill();

    const knowing = rig.process({ encryptionKeys: { current: fresh, previous: old } });
    await knowing.adopt();
    expect(rig.database.rows.has(start.request_id)).toBe(true);
    expect(rig.segments()).toEqual([]);
  });
});
