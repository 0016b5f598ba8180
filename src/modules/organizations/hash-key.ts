/** What a sealed hash key is bound to: its organization. */
export function hashKeyAad(orgId: string): string {
  return `${orgId}:hash-key`;
}
