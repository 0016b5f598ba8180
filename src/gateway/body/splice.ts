import type { Span } from './json-scan.js';

/** Bytes to be added to a body, and where. */
export interface Injection {
  readonly at: number;
  readonly added: Buffer;
}

/** The request for usage that OpenAI-format streams need, as a member of its own or inside the client's options. */
export const INCLUDE_USAGE = {
  asMember: Buffer.from(',"stream_options":{"include_usage":true}'),
  beforeOthers: Buffer.from('"include_usage":true,'),
  alone: Buffer.from('"include_usage":true'),
} as const;

/** The body with the injection in it; every other byte is as it came. */
export function inject(body: Buffer, { at, added }: Injection): Buffer {
  return Buffer.concat([body.subarray(0, at), added, body.subarray(at)]);
}

/** The body with another model name in the place of its own; every other byte is as it came. */
export function spliceModel(body: Buffer, model: Span, name: string): Buffer {
  const spelled = Buffer.from(JSON.stringify(name));
  return Buffer.concat([body.subarray(0, model.start), spelled, body.subarray(model.end)]);
}

/** A Google path with another model name in the place of its own. */
export function spliceModelInPath(path: string, name: string): string {
  return path.replace(
    /(\/models\/)[^/:]+/,
    (_match, prefix: string) => prefix + encodeURIComponent(name),
  );
}
