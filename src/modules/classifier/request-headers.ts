/** Request headers as Node gives them: names in lower case. */
export type RequestHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** The first of these headers that says something. */
export function firstHeader(headers: RequestHeaders, names: readonly string[]): string | null {
  for (const name of names) {
    const value = headers[name];
    const text = (typeof value === 'string' ? value : (value?.[0] ?? '')).trim();
    if (text !== '') return text;
  }
  return null;
}
