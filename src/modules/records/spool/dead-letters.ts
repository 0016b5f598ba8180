import path from 'node:path';
import { safeError } from '../../../platform/telemetry/logger.js';
import type { RecordContext } from '../record-context.js';
import type { QueuedRecord } from '../record-queue.js';
import { createHeader, decodeSegment, encodeFrame } from './segment-format.js';
import type { SpoolHome } from './spool-home.js';
import type { DataKey } from './spool-keys.js';

/** One record that Postgres refused, and the SQLSTATE with which it did. */
export interface DeadLetter {
  readonly reason: string;
  readonly record: unknown;
}

/** Records that Postgres refuses, kept encrypted for a person to look at; bounded over all processes. */
export class DeadLetters {
  #file: { readonly descriptor: number; readonly dataKey: DataKey; frames: number } | null = null;
  #bytes: number | null = null;
  #dirty = false;

  constructor(
    private readonly context: RecordContext,
    private readonly home: SpoolHome,
  ) {}

  /** False when the record could not be kept: it is lost, and counted so by the caller. */
  add(record: QueuedRecord, reason: string): boolean {
    const { files, limits, log } = this.context;
    try {
      this.#bytes ??= this.#measure();
      this.#file ??= this.#create();
      const line = `d{"reason":${JSON.stringify(reason)},"record":${record.json}}\n`;
      const frame = encodeFrame(this.#file.dataKey.key, this.#file.frames, 1, line);
      this.#file.frames += 1;
      if (this.#bytes + frame.length > limits.deadLetterBytes) {
        log.error('dead_letters_full', { limitBytes: limits.deadLetterBytes });
        return false;
      }
      const taken = files.write(this.#file.descriptor, frame);
      this.#bytes += taken;
      this.#dirty = true;
      return taken === frame.length;
    } catch (error) {
      log.error('dead_letter_failed', { err: safeError(error) });
      return false;
    }
  }

  /** All that can be read, for the operator's eyes. */
  async read(): Promise<DeadLetter[]> {
    const { files, keys } = this.context;
    const letters: DeadLetter[] = [];
    for (const name of files.list(this.#directory)) {
      const decoded = decodeSegment(await files.read(path.join(this.#directory, name)), keys);
      for (const line of decoded.lines ?? []) letters.push(JSON.parse(line.slice(1)) as DeadLetter);
    }
    return letters;
  }

  /** Forces what was added to the disk. */
  async sync(): Promise<void> {
    if (this.#file === null || !this.#dirty) return;
    this.#dirty = false;
    await this.context.files.sync(this.#file.descriptor).catch((error: unknown) => {
      this.context.log.warn('dead_letter_sync_failed', { err: safeError(error) });
    });
  }

  async close(): Promise<void> {
    await this.sync();
    if (this.#file !== null) this.context.files.close(this.#file.descriptor);
    this.#file = null;
  }

  get #directory(): string {
    return path.join(this.context.root, 'dead-letter');
  }

  #measure(): number {
    const { files } = this.context;
    return files
      .list(this.#directory)
      .reduce((sum, name) => sum + (files.stat(path.join(this.#directory, name))?.size ?? 0), 0);
  }

  #create(): { readonly descriptor: number; readonly dataKey: DataKey; frames: number } {
    const { files, keys, clock } = this.context;
    files.makeDirectory(this.#directory);
    const name = `${this.home.id}-${clock.nowMs()}.seg`;
    const { header, dataKey } = createHeader(keys);
    const descriptor = files.create(path.join(this.#directory, name));
    files.write(descriptor, header);
    return { descriptor, dataKey, frames: 0 };
  }
}
