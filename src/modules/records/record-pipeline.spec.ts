import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RecorderRig, type RiggedProcess } from '../../../test/integration/records/recorder-rig.js';
import { finalOf, startOf } from '../../../test/integration/records/record-samples.js';
import type { CallRecord, StartRecord } from './call-record.js';

/** A call as its gateway knows it. */
interface Call {
  readonly start: StartRecord;
  final: CallRecord | null;
  /** The process that runs it is still there. */
  running: boolean;
  startWritten: boolean;
  finalWritten: boolean;
}

type Step =
  | {
      readonly kind:
        'start' | 'turn' | 'pass' | 'drain' | 'down' | 'up' | 'crash' | 'rival' | 'age';
    }
  | { readonly kind: 'disk_full' | 'disk_free' }
  | { readonly kind: 'finish' | 'estimate'; readonly pick: number };

/** What the world does to the pipeline, and what it must have come to in the end. */
class World {
  readonly rig = new RecorderRig({
    segmentBytes: 3_000,
    queuedRecords: 4,
    batchRecords: 2,
    passRecords: 3,
    rewriteChars: 1_000,
    groupChars: 4_000,
  });
  readonly calls: Call[] = [];
  live: RiggedProcess = this.rig.process();

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case 'start':
        return this.#start();
      case 'finish':
        return this.#finish(step.pick, 1);
      case 'estimate':
        return this.#finish(step.pick, 2);
      case 'turn':
        return this.live.turn();
      case 'pass':
        await this.live.recorder.writer.pass();
        return;
      case 'drain':
        return this.live.drain();
      case 'down':
      case 'up':
        this.rig.database.down = step.kind === 'down';
        return;
      case 'disk_full':
      case 'disk_free':
        this.rig.files.fail('write', step.kind === 'disk_full' ? 'ENOSPC' : null);
        return;
      case 'age':
        this.rig.time.advance(61_000);
        return this.live.recorder.housekeep();
      case 'crash':
        return this.crash();
      case 'rival':
        // Another process adopts what it can get, and dies of it.
        return this.#rival();
    }
  }

  crash(): void {
    this.live.kill();
    for (const call of this.calls) call.running = false;
    this.live = this.rig.process();
    this.live.recorder.lookForOrphans();
  }

  /** The database is back and nothing dies any more. */
  async settle(): Promise<void> {
    this.rig.database.down = false;
    this.rig.files.fail('write', null);
    await this.live.drain();
    this.rig.time.advance(1_000);
    await this.live.recorder.housekeep();
    await this.live.drain();
  }

  #start(): void {
    const start = startOf(this.rig.time.nowMs());
    const call = { start, final: null, running: true, startWritten: false, finalWritten: false };
    this.calls.push(call);
    this.live.recorder.start(start, () => (call.startWritten = true));
  }

  #finish(pick: number, revision: 1 | 2): void {
    const open = this.calls.filter(
      (call) => call.running && (revision === 1 ? call.final === null : call.final?.revision === 1),
    );
    const call = open[pick % Math.max(1, open.length)];
    if (call === undefined) return;
    const final = finalOf(call.start, revision === 1 ? {} : { revision, metering: 'estimated' });
    call.final = final;
    call.finalWritten = false;
    this.live.recorder.finish(final, () => (call.finalWritten = true));
  }

  async #rival(): Promise<void> {
    const rival = this.rig.process();
    rival.recorder.lookForOrphans();
    await rival.recorder.writer.pass();
    rival.kill();
  }
}

const always = ['start', 'turn', 'pass', 'drain', 'down', 'up', 'age'] as const;
const pick = fc.nat({ max: 50 });

const steps = (...more: readonly ('crash' | 'rival' | 'disk_full' | 'disk_free')[]) =>
  fc.array(
    fc.oneof<fc.Arbitrary<Step>[]>(
      fc.constantFrom(...always.map((kind) => ({ kind }))),
      fc.constantFrom(...more.map((kind) => ({ kind }))),
      fc.record({ kind: fc.constantFrom('finish' as const), pick }),
      fc.constant({ kind: 'start' as const }),
      fc.record({ kind: fc.constantFrom('estimate' as const), pick }),
    ),
    { maxLength: 60 },
  );

describe('whatever the order of calls, crashes, adoptions and outages', () => {
  it('each finished call is in Postgres as finished, each unfinished one as interrupted, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(steps('crash', 'rival'), async (sequence) => {
        const world = new World();
        for (const step of sequence) await world.step(step);
        world.live.turn();
        world.crash();
        await world.settle();
        const { rows } = world.rig.database;
        for (const call of world.calls) {
          const row = rows.get(call.start.request_id);
          if (call.finalWritten) expect(row).toEqual(call.final);
          else if (call.startWritten && call.final === null)
            expect(row?.outcome).toBe('interrupted');
          else if (call.startWritten) expect(row).toBeDefined();
        }
        const known = new Set(world.calls.map((call) => call.start.request_id));
        expect([...rows.keys()].filter((id) => !known.has(id))).toEqual([]);
        expect(await world.live.metric('shunt_spool_lost_records_total')).toBe(0);
        expect(world.rig.segments()).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it('a full disk alone loses nothing that memory could hold, and leaves no file behind', async () => {
    await fc.assert(
      fc.asyncProperty(steps('disk_full', 'disk_free'), async (sequence) => {
        const world = new World();
        for (const step of sequence) await world.step(step);
        await world.settle();
        const lost = await world.live.metric('shunt_spool_lost_records_total');
        const finished = world.calls.filter((call) => call.final !== null);
        const missing = finished.filter(
          (call) =>
            world.rig.database.rows.get(call.start.request_id)?.revision !== call.final?.revision,
        );
        expect(missing.length).toBeLessThanOrEqual(lost);
        if (lost > 0) return;
        for (const call of world.calls.filter((one) => one.final === null)) {
          const final = finalOf(call.start);
          world.live.recorder.finish(final, () => undefined);
        }
        await world.live.drain();
        await world.live.recorder.close(1_000);
        expect(world.rig.segments()).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
