const UUID_V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** The milliseconds since the epoch inside a UUIDv7 (RFC 9562, section 5.7: its first 48 bits); null for anything else. */
export function timeOfRequestId(requestId: string): number | null {
  const match = UUID_V7.exec(requestId);
  if (match === null) return null;
  return Number.parseInt(`${match[1]}${match[2]}`, 16);
}
