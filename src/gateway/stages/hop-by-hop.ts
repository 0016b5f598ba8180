/** Headers that are for the next hop and go no further (RFC 9110, section 7.6.1). */
export const HOP_BY_HOP: readonly string[] = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** The headers that a `connection` header declares to be hop-by-hop as well; null where there are none. */
export function connectionNames(
  connection: string | string[] | undefined,
): ReadonlySet<string> | null {
  const text = Array.isArray(connection) ? connection.join(',') : connection;
  if (text === undefined || /^(?:keep-alive|close)$/i.test(text)) return null;
  return new Set(text.split(',').map((name) => name.trim().toLowerCase()));
}
