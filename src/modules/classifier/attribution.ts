import { objectOf } from './json-shapes.js';
import { firstHeader, type RequestHeaders } from './request-headers.js';

const CUSTOMER_HEADERS = [
  'x-shunt-customer-id',
  'helicone-user-id',
  'x-litellm-customer-id',
] as const;
const TAG_HEADERS = ['x-shunt-tags', 'x-litellm-tags'] as const;
const METADATA_HEADER = 'x-portkey-metadata';
const METADATA_CHARS_MAX = 4_096;
const TAG_LIST_CHARS_MAX = 4_096;

export const CUSTOMER_CHARS_MAX = 128;
export const TAG_CHARS_MAX = 64;
export const TAGS_MAX = 16;

/** For whom, and what for, a call was made, as its caller says in headers. */
export interface Attribution {
  readonly customerId: string | null;
  readonly tags: readonly string[];
}

/** Reads Shunt's own headers and those of other gateways; whatever is over a bound is cut or left out. */
export function attributionOf(headers: RequestHeaders): Attribution {
  const { _user: user, ...pairs } = metadataOf(headers);
  const stated = firstHeader(headers, CUSTOMER_HEADERS) ?? (typeof user === 'string' ? user : null);
  const customerId = clean(stated ?? '', CUSTOMER_CHARS_MAX);
  return { customerId: customerId === '' ? null : customerId, tags: tagsOf(headers, pairs) };
}

function tagsOf(headers: RequestHeaders, pairs: Record<string, unknown>): readonly string[] {
  const tags = new Set<string>();
  const add = (text: string): void => {
    const tag = clean(text, TAG_CHARS_MAX);
    if (tag !== '' && tags.size < TAGS_MAX) tags.add(tag);
  };
  for (const name of TAG_HEADERS) {
    const list = firstHeader(headers, [name]);
    if (list !== null) list.slice(0, TAG_LIST_CHARS_MAX).split(',').forEach(add);
  }
  for (const [key, value] of Object.entries(pairs)) {
    if (['string', 'number', 'boolean'].includes(typeof value)) add(`${key}:${String(value)}`);
  }
  return [...tags];
}

function metadataOf(headers: RequestHeaders): Record<string, unknown> {
  const json = firstHeader(headers, [METADATA_HEADER]);
  if (json === null || json.length > METADATA_CHARS_MAX) return {};
  try {
    return objectOf(JSON.parse(json));
  } catch {
    return {};
  }
}

/** Without control characters, halves of characters and space around; cut to `charsMax` UTF-16 code units. */
function clean(text: string, charsMax: number): string {
  const bounded = text.slice(0, 4 * charsMax).replace(/[\p{Cc}\u2028\u2029]/gu, '');
  return bounded
    .trim()
    .slice(0, charsMax)
    .replace(/[\uD800-\uDBFF]$/, '')
    .toWellFormed();
}
