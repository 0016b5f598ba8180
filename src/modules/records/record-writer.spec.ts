import { describe, expect, it } from 'vitest';
import { RecorderRig } from '../../../test/integration/records/recorder-rig.js';
import {
  ORG,
  OTHER_ORG,
  finalOf,
  startOf,
} from '../../../test/integration/records/record-samples.js';

const noted = (): void => undefined;

describe('the writer', () => {
  it('waits 200 ms for others to share a batch, and not at all for a full one', () => {
    const rig = new RecorderRig({ batchRecords: 3 });
    const live = rig.process();
    live.recorder.finish(finalOf(startOf(1)), noted);
    live.turn();
    expect(live.schedule.pendingDelaysMs).toEqual([200]);
    live.recorder.finish(finalOf(startOf(2)), noted);
    live.recorder.finish(finalOf(startOf(3)), noted);
    live.turn();
    expect(live.schedule.pendingDelaysMs).toEqual([0]);
  });

  it('writes one transaction per organization and batch', async () => {
    const rig = new RecorderRig({ batchRecords: 10 });
    const live = rig.process();
    for (let n = 0; n < 25; n++) live.recorder.finish(finalOf(startOf(n)), noted);
    live.recorder.finish(finalOf(startOf(99, { org_id: OTHER_ORG })), noted);
    await live.drain();
    expect(rig.database.batches).toBe(4);
    expect(rig.database.rows.size).toBe(26);
  });

  it('sends the newest revision of a request once, in whichever order they came', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    const start = startOf(1);
    live.recorder.finish(finalOf(start, { revision: 2, metering: 'estimated' }), noted);
    live.recorder.finish(finalOf(start), noted);
    await live.drain();
    expect(rig.database.received.map((record) => record.revision)).toEqual([2]);
    await live.recorder.close(1_000);
    expect(rig.segments()).toEqual([]);
  });

  it('keeps trying while Postgres is down, at most every 5 s, and resumes by itself', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    rig.database.down = true;
    live.recorder.finish(finalOf(startOf(1)), noted);
    live.turn();
    const delaysMs: number[] = [];
    for (let n = 0; n < 12; n++) {
      await live.recorder.writer.pass();
      delaysMs.push(...live.schedule.pendingDelaysMs);
    }
    expect(delaysMs).toEqual([
      100, 200, 400, 800, 1_600, 2_500, 2_500, 2_500, 2_500, 2_500, 2_500, 2_500,
    ]);
    rig.database.down = false;
    live.schedule.advance(2_500);
    await live.recorder.writer.pass();
    expect(rig.database.rows.size).toBe(1);
    expect(await live.metric('shunt_record_write_errors_total')).toBe(12);
  });

  it('puts a record that Postgres refuses into the dead letters, and writes all others', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    const finals = Array.from({ length: 50 }, (_, n) => finalOf(startOf(n)));
    const bad = finals[17]!;
    rig.database.refuse = (record) => (record.request_id === bad.request_id ? '23514' : null);
    for (const final of finals) live.recorder.finish(final, noted);
    await live.drain();
    expect(rig.database.rows.size).toBe(49);
    expect(await live.recorder.deadLetters.read()).toEqual([{ reason: '23514', record: bad }]);
    expect(await live.metric('shunt_record_dead_letters_total')).toBe(1);
    expect(await live.metric('shunt_spool_lost_records_total')).toBe(0);
  });

  it('keeps an organization id that is none from reaching the database', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    live.recorder.finish(finalOf(startOf(1, { org_id: "'; --" })), noted);
    await live.drain();
    expect(rig.database.batches).toBe(0);
    expect(await live.recorder.deadLetters.read()).toMatchObject([{ reason: 'invalid_org_id' }]);
  });

  it('takes a fault of the schema for an outage and not for a bad record', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    rig.database.refuse = () => '42703';
    live.recorder.finish(finalOf(startOf(1)), noted);
    await live.drain();
    expect(await live.recorder.deadLetters.read()).toEqual([]);
    rig.database.refuse = () => null;
    await live.drain();
    expect(rig.database.rows.size).toBe(1);
  });

  it('goes on with other organizations when one is refused for a passing reason', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    rig.database.refuse = (record) => (record.org_id === OTHER_ORG ? '55P03' : null);
    live.recorder.finish(finalOf(startOf(1, { org_id: OTHER_ORG })), noted);
    live.recorder.finish(finalOf(startOf(2)), noted);
    await live.drain();
    expect(rig.database.rows.size).toBe(1);
    rig.database.refuse = () => null;
    await live.drain();
    expect(rig.database.rows.size).toBe(2);
  });

  it('lets nobody wait behind an organization whose records cannot be written', async () => {
    const rig = new RecorderRig({ passRecords: 10 });
    const live = rig.process();
    rig.database.refuse = (record) => (record.org_id === OTHER_ORG ? '55P03' : null);
    const others = (n: number) => (n < 20 || n > 31 ? OTHER_ORG : ORG);
    for (let n = 0; n < 40; n++) {
      live.recorder.finish(finalOf(startOf(n, { org_id: others(n) })), noted);
    }
    live.turn();
    for (let n = 0; n < 8; n++) await live.recorder.writer.pass();
    expect(rig.database.rows.size).toBe(12);
  });

  it('counts a refused record as lost when the dead letters are full', async () => {
    const rig = new RecorderRig({ deadLetterBytes: 3_000 });
    const live = rig.process();
    rig.database.refuse = () => '22003';
    for (let n = 0; n < 4; n++) live.recorder.finish(finalOf(startOf(n)), noted);
    await live.drain();
    const kept = (await live.recorder.deadLetters.read()).length;
    expect(kept).toBeGreaterThan(0);
    expect(await live.metric('shunt_spool_lost_records_total')).toBe(4 - kept);
  });

  it('stops a flush at its time limit while the database hangs', async () => {
    const rig = new RecorderRig();
    const live = rig.process({
      database: { tenant: () => new Promise(() => undefined), query: async () => [] },
    });
    live.recorder.finish(finalOf(startOf(1)), noted);
    const flushed = live.recorder.flush(500);
    live.schedule.advance(500);
    expect(await flushed).toBe(false);
  });

  it('shows how old the oldest record is while the database hangs', async () => {
    const rig = new RecorderRig();
    const live = rig.process({
      database: { tenant: () => new Promise(() => undefined), query: async () => [] },
    });
    live.recorder.finish(finalOf(startOf(1)), noted);
    live.turn();
    void live.recorder.writer.pass();
    rig.time.advance(20_000);
    await live.recorder.housekeep();
    expect(await live.metric('shunt_record_oldest_unwritten_seconds')).toBe(20);
    expect(await live.metric('shunt_record_queue_depth')).toBe(1);
  });

  it('shows how old the oldest unwritten record is', async () => {
    const rig = new RecorderRig();
    const live = rig.process();
    rig.database.down = true;
    live.recorder.finish(finalOf(startOf(1)), noted);
    live.turn();
    rig.time.advance(30_000);
    await live.drain();
    expect(await live.metric('shunt_record_oldest_unwritten_seconds')).toBe(30);
    expect(await live.metric('shunt_record_queue_depth')).toBe(1);
  });
});
