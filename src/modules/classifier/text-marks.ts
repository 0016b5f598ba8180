import type { BoundedText } from '../../domain/classification/bounded-text.js';

export interface TextMarks {
  readonly codeFences: number;
  readonly questionMarks: number;
  /** Shares of the characters looked at, from 0 to 1, in thousandths. */
  readonly digitShare: number;
  readonly nonLatinShare: number;
}

const BACKTICK = 0x60;
/** Where Greek begins; Latin letters with and without marks come before it. */
const FIRST_NON_LATIN = 0x370;

/** Counts over head and tail; bounded by their lengths. */
export function textMarks(text: BoundedText): TextMarks {
  const counts = { backticks: 0, questions: 0, digits: 0, nonLatin: 0 };
  count(text.head, counts);
  count(text.tail, counts);
  const looked = Math.max(1, text.head.length + text.tail.length);
  return {
    codeFences: Math.floor(counts.backticks / 6),
    questionMarks: counts.questions,
    digitShare: Math.round((counts.digits / looked) * 1_000) / 1_000,
    nonLatinShare: Math.round((counts.nonLatin / looked) * 1_000) / 1_000,
  };
}

function count(
  text: string,
  counts: { backticks: number; questions: number; digits: number; nonLatin: number },
): void {
  let run = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    run = code === BACKTICK ? run + 1 : 0;
    // A fence is three in a row, and a pair of them encloses code.
    if (run === 3) counts.backticks += 3;
    if (code >= 0x30 && code <= 0x39) counts.digits += 1;
    else if (code === 0x3f || code === 0xff1f) counts.questions += 1;
    else if (code >= FIRST_NON_LATIN && !isSymbol(code)) counts.nonLatin += 1;
  }
}

/** Punctuation, arrows, drawing, and the halves of emoji. */
function isSymbol(code: number): boolean {
  return (code >= 0x2000 && code <= 0x2bff) || (code >= 0xd800 && code <= 0xdfff);
}
