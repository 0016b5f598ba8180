/** What a header lists; one that was sent twice is the list of both, as HTTP has it (RFC 9110, section 5.3). */
export function listed(header: string | string[] | undefined): string[] {
  if (header === undefined) return [];
  const whole = Array.isArray(header) ? header.join(',') : header;
  return whole.split(',').map((value) => value.trim());
}
