/** A long text, by its beginning, its end and its length: what may be read of it, and hashed. */
export interface BoundedText {
  readonly head: string;
  /** Empty where the head holds the whole text. */
  readonly tail: string;
  /** Of the whole text, in UTF-16 code units. */
  readonly length: number;
}

export const NO_TEXT: BoundedText = Object.freeze({ head: '', tail: '', length: 0 });

/** Reads at most `2 * charsMax` code units. */
export function boundedText(text: string, charsMax: number): BoundedText {
  if (text.length <= 2 * charsMax) return { head: text, tail: '', length: text.length };
  return { head: text.slice(0, charsMax), tail: text.slice(-charsMax), length: text.length };
}

/** Unambiguous: no two lists of parts give the same string. */
export function joinParts(parts: readonly (string | number)[]): string {
  let joined = '';
  for (const part of parts) {
    const text = `${part}`;
    joined += `${text.length}:${text};`;
  }
  return joined;
}
