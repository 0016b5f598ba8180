import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * How far a signature's time may lie from ours, both ways. The provider's SDK allows 5 s, and only in the past: a clock
 * that runs 6 s fast would refuse every payment. A minute costs nothing, since an event that is played back within
 * it is found in the inbox and changes nothing.
 */
export const SIGNATURE_AGE_S_MAX = 60;
const HEADER_CHARS_MAX = 4_096;
const SIGNATURES_MAX = 10;
const SECRETS_MAX = 10;

export interface SignedRequest {
  /** The `Paddle-Signature` header: `ts=1790000000;h1=<hex>`, with several `h1` while secrets are being rotated. */
  readonly header: string | undefined;
  readonly rawBody: Buffer;
}

/**
 * Whether one of the secrets signed these bytes just now. Verified here and not by the provider's SDK, which keeps
 * only the last `h1`, knows one secret, compares in a time that tells how far a guess was right, and takes any time
 * in the future.
 */
export function isSignedByPaddle(
  { header, rawBody }: SignedRequest,
  secrets: readonly string[],
  nowMs: number,
): boolean {
  const parsed = parseHeader(header);
  if (parsed === null) return false;
  const { ts, signatures } = parsed;
  let matches = 0;
  for (const secret of secrets) {
    const expected = createHmac('sha256', secret).update(`${ts}:`).update(rawBody).digest();
    // Every pair is compared, so that the time taken tells nothing.
    for (const signature of signatures) matches += timingSafeEqual(expected, signature) ? 1 : 0;
  }
  return matches > 0 && Math.abs(nowMs / 1_000 - Number(ts)) <= SIGNATURE_AGE_S_MAX;
}

/** `PADDLE_WEBHOOK_SECRET` may hold several, separated by commas, while one replaces another. */
export function webhookSecrets(setting: string): string[] {
  const secrets = setting.split(',').map((secret) => secret.trim());
  return secrets.filter((secret) => secret !== '').slice(0, SECRETS_MAX);
}

function parseHeader(header: string | undefined): { ts: string; signatures: Buffer[] } | null {
  if (header === undefined || header.length > HEADER_CHARS_MAX) return null;
  const times: string[] = [];
  const signatures: Buffer[] = [];
  for (const part of header.split(';')) {
    const [, name, value = ''] = /^\s*(ts|h1)=([0-9a-f]+)\s*$/.exec(part) ?? [];
    if (name === 'ts') times.push(value);
    if (name === 'h1' && value.length === 64) signatures.push(Buffer.from(value, 'hex'));
  }
  const [ts = ''] = times;
  if (times.length !== 1 || !/^\d{1,12}$/.test(ts)) return null;
  if (signatures.length === 0 || signatures.length > SIGNATURES_MAX) return null;
  return { ts, signatures };
}
