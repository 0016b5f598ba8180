import { describe, expect, it } from 'vitest';
import { RecorderRig } from '../../../../test/integration/records/recorder-rig.js';
import { finalOf, startOf } from '../../../../test/integration/records/record-samples.js';
import { currentIdentity, isAlive } from './process-identity.js';

const noted = (): void => undefined;

describe('adoption', () => {
  it('leaves the spool of a live process alone', async () => {
    const rig = new RecorderRig();
    const one = rig.process();
    const other = rig.process();
    one.recorder.start(startOf(1), noted);
    one.turn();
    await other.adopt();
    expect(rig.database.rows.size).toBe(0);
    expect(rig.segments()).toHaveLength(1);
  });

  it('replays finals as they are and starts without a final as interrupted, then deletes the files', async () => {
    const rig = new RecorderRig();
    const dead = rig.process();
    const [ended, open] = [startOf(1), startOf(2)];
    dead.recorder.start(ended, noted);
    dead.recorder.start(open, noted);
    dead.turn();
    dead.recorder.finish(finalOf(ended), noted);
    dead.turn();
    dead.kill();
    const survivor = rig.process();
    await survivor.adopt();
    expect(rig.database.rows.get(ended.request_id)).toEqual(finalOf(ended));
    expect(rig.database.rows.get(open.request_id)).toMatchObject({
      revision: 0,
      outcome: 'interrupted',
      metering: 'unmetered',
      unmetered_reason: 'interrupted',
      usage: null,
    });
    expect(await survivor.metric('shunt_records_interrupted_total')).toBe(1);
    expect(rig.segments()).toEqual([]);
  });

  it('by two at once happens once', async () => {
    const rig = new RecorderRig();
    const dead = rig.process();
    dead.recorder.start(startOf(1), noted);
    dead.turn();
    dead.kill();
    const [one, other] = [rig.process(), rig.process()];
    one.recorder.lookForOrphans();
    other.recorder.lookForOrphans();
    await Promise.all([one.drain(), other.drain()]);
    expect(await one.metric('shunt_spool_adopted_total')).toBe(1);
    expect(await other.metric('shunt_spool_adopted_total')).toBe(0);
    expect(rig.database.received).toHaveLength(1);
  });

  it('that is cut short is adopted again, with what it had adopted', async () => {
    const rig = new RecorderRig();
    const starts = [1, 2, 3].map((n) => startOf(n));
    for (const start of starts) {
      // Each process adopts its predecessor and dies before the database comes back.
      rig.database.down = true;
      const doomed = rig.process();
      await doomed.adopt();
      doomed.recorder.start(start, noted);
      doomed.turn();
      doomed.kill();
    }
    rig.database.down = false;
    const survivor = rig.process();
    await survivor.adopt();
    expect([...rig.database.rows.keys()].toSorted()).toEqual(
      starts.map((start) => start.request_id).toSorted(),
    );
    expect(rig.segments()).toEqual([]);
  });

  it('deletes nothing while Postgres has not got it', async () => {
    const rig = new RecorderRig();
    const dead = rig.process();
    const start = startOf(1);
    dead.recorder.start(start, noted);
    dead.turn();
    dead.kill();
    rig.database.down = true;
    const waiting = rig.process();
    await waiting.adopt();
    for (let n = 0; n < 5; n++) await waiting.recorder.writer.pass();
    waiting.kill();
    rig.database.down = false;
    await rig.process().adopt();
    expect(rig.database.rows.has(start.request_id)).toBe(true);
  });

  it('does not turn a call that Postgres knows as finished into an interrupted one', async () => {
    const rig = new RecorderRig();
    const dead = rig.process();
    const start = startOf(1);
    dead.recorder.start(start, noted);
    dead.turn();
    rig.files.fail('write', 'EIO');
    dead.recorder.finish(finalOf(start), noted);
    await dead.drain();
    rig.files.fail('write', null);
    dead.kill();
    await rig.process().adopt();
    expect(rig.database.rows.get(start.request_id)?.outcome).toBe('completed');
  });

  it('takes what a process left behind at its close, in the same process too', async () => {
    const rig = new RecorderRig();
    const closed = rig.process();
    const open = startOf(1);
    closed.recorder.start(open, noted);
    await closed.recorder.close(1_000);
    await rig.process().adopt();
    expect(rig.database.rows.get(open.request_id)?.outcome).toBe('interrupted');
  });

  it('from a process that was only stopped makes that one go on in a directory of its own', async () => {
    const rig = new RecorderRig();
    const paused = rig.process();
    const [open, later] = [startOf(1), startOf(2)];
    paused.recorder.start(open, noted);
    paused.turn();
    // Stopped for two minutes, and taken for dead by another host.
    rig.time.advance(120_000);
    const survivor = rig.process({ alive: () => false });
    await survivor.adopt();
    expect(rig.database.rows.get(open.request_id)?.outcome).toBe('interrupted');

    paused.recorder.start(later, noted);
    paused.turn();
    paused.recorder.finish(finalOf(open), noted);
    await paused.drain();
    expect(rig.database.rows.get(open.request_id)?.outcome).toBe('completed');
    paused.kill();
    await rig.process().adopt();
    expect(rig.database.rows.get(later.request_id)?.outcome).toBe('interrupted');
  });

  it('of a file that the disk does not give puts it aside and goes on with the rest', async () => {
    const rig = new RecorderRig();
    const dead = rig.process();
    dead.recorder.start(startOf(1), noted);
    dead.turn();
    dead.kill();
    const survivor = rig.process();
    rig.files.fail('read', 'EIO');
    await survivor.adopt();
    expect(await survivor.metric('shunt_spool_unreadable_segments_total')).toBe(1);
    rig.files.fail('read', null);
    survivor.kill();
    await rig.process().adopt();
    expect(rig.database.rows.size).toBe(1);
  });

  it('clears away what a process left that died while it made its directory', async () => {
    const rig = new RecorderRig();
    const dead = rig.process();
    rig.files.fail('rename', 'EIO');
    dead.recorder.start(startOf(1), noted);
    dead.turn();
    rig.files.fail('rename', null);
    dead.kill();
    const survivor = rig.process();
    await survivor.adopt();
    expect(rig.files.paths()).toHaveLength(1);
    rig.time.advance(60_000);
    await survivor.adopt();
    expect(rig.files.paths()).toEqual([]);
  });

  it('survives a directory that cannot be read', () => {
    const rig = new RecorderRig();
    const dead = rig.process();
    dead.recorder.start(startOf(1), noted);
    dead.turn();
    dead.kill();
    rig.files.fail('rename', 'EACCES');
    expect(() => rig.process().recorder.lookForOrphans()).not.toThrow();
  });
});

describe('liveness', () => {
  const self = currentIdentity();

  it('knows this process, whatever its heartbeat', () => {
    expect(isAlive(self, 10 * 60_000, self)).toBe(true);
  });

  it('tells a reused pid apart', () => {
    expect(isAlive({ ...self, process_started: '1' }, 0, self)).toBe(false);
  });

  it('goes by the heartbeat for other hosts and other containers', () => {
    for (const stranger of [
      { ...self, hostname: 'elsewhere' },
      { ...self, pid_namespace: 'pid:[1]' },
      { ...self, boot_id: 'another' },
    ]) {
      expect(isAlive(stranger, 59_000, self)).toBe(true);
      expect(isAlive(stranger, 60_000, self)).toBe(false);
    }
  });
});
