export const PATH_CHARS_MAX = 4_096;
export const QUERY_CHARS_MAX = 16_384;

export type PathRefusal =
  | 'too_long'
  | 'not_absolute'
  | 'forbidden_character'
  | 'forbidden_encoding'
  | 'empty_segment'
  | 'dot_segment';

export type NormalisedPath =
  | {
      readonly ok: true;
      /** With each character that needs no encoding decoded, hexadecimal digits in capitals; safe to match and to forward. */
      readonly path: string;
      /** As it came, without the `?`; empty where there is none. */
      readonly query: string;
    }
  | { readonly ok: false; readonly reason: PathRefusal };

/** Visible ASCII but `\` and `#`: what a request target may hold. */
const PATH_CHARACTERS = /^[!"$-[\]-~]*$/;
const QUERY_CHARACTERS = /^[!-~]*$/;

/** RFC 3986 `pchar` without the percent sign: means the same encoded and decoded. `.` is not among them: it is refused. */
const NEEDS_NO_ENCODING = /^[A-Za-z0-9\-_~:@!$&'()*+,;=]$/;

/**
 * Splits and normalises the path of a request target, and refuses whatever two servers might read differently:
 * dot segments, encoded dots, slashes, backslashes and percent signs (which double encodings need), control
 * and non-ASCII characters, plain or encoded. No name in the providers' APIs needs any of these.
 */
export function normalisePath(rawTarget: string): NormalisedPath {
  const mark = rawTarget.indexOf('?');
  const rawPath = mark < 0 ? rawTarget : rawTarget.slice(0, mark);
  const query = mark < 0 ? '' : rawTarget.slice(mark + 1);
  if (rawPath.length > PATH_CHARS_MAX || query.length > QUERY_CHARS_MAX) return refused('too_long');
  if (!rawPath.startsWith('/')) return refused('not_absolute');
  if (!PATH_CHARACTERS.test(rawPath) || !QUERY_CHARACTERS.test(query)) {
    return refused('forbidden_character');
  }
  const path = decodeHarmless(rawPath);
  if (path === null) return refused('forbidden_encoding');
  if (path.includes('//')) return refused('empty_segment');
  if (path.split('/').some(isDotSegment)) return refused('dot_segment');
  return { ok: true, path, query };
}

/** Null where an encoding is broken, or hides a character that changes what the path means. */
function decodeHarmless(rawPath: string): string | null {
  if (!rawPath.includes('%')) return rawPath;
  let isRefused = false;
  const decoded = rawPath.replace(/%(.{0,2})/g, (_, digits: string) => {
    const code = /^[0-9A-Fa-f]{2}$/.test(digits) ? Number.parseInt(digits, 16) : -1;
    const character = String.fromCharCode(code);
    if (code < 0x20 || code > 0x7e || './\\%'.includes(character)) isRefused = true;
    return NEEDS_NO_ENCODING.test(character) ? character : `%${digits.toUpperCase()}`;
  });
  return isRefused ? null : decoded;
}

/** `.` and `..`, also with parameters (`..;x`), which some servers cut off first. */
function isDotSegment(segment: string): boolean {
  const [name] = segment.split(';', 1);
  return name === '.' || name === '..';
}

function refused(reason: PathRefusal): NormalisedPath {
  return { ok: false, reason };
}
