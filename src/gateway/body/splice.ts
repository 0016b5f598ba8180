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

/** Both changes at once, or the one of them that there is; null where there is none. */
export function rewritten(
  body: Buffer,
  model: { readonly span: Span; readonly name: string } | null,
  injection: Injection | null,
): Buffer | null {
  if (model === null) return injection === null ? null : inject(body, injection);
  if (injection === null) return spliceModel(body, model.span, model.name);
  // The later place first, so that the earlier one stays where it is.
  return injection.at >= model.span.end
    ? spliceModel(inject(body, injection), model.span, model.name)
    : inject(spliceModel(body, model.span, model.name), injection);
}

/** The body with another model name in the place of its own; every other byte is as it came. */
export function spliceModel(body: Buffer, model: Span, name: string): Buffer {
  const spelled = Buffer.from(JSON.stringify(name));
  return Buffer.concat([body.subarray(0, model.start), spelled, body.subarray(model.end)]);
}

/** A Google path with another model name in the place of its own. */
export function spliceModelInPath(path: string, name: string): string {
  return path.replace(
    /(\/models\/)(?:shunt\/auto|[^/:]+)/,
    (_match, prefix: string) => prefix + encodeURIComponent(name),
  );
}
