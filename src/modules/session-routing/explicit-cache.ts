import { listOf, objectOf } from '../classifier/json-shapes.js';
import type { ExplicitCache } from './cache-rules.js';

/** Requests take four marks at most; they stand at the ends of long lists, which are looked at from behind. */
const ITEMS_LOOKED_AT_MAX = 64;

/**
 * Whether an Anthropic request marks a prefix to be cached, and for how long; the longest mark counts. A mark further
 * than 64 items from the end of its list (tools, system blocks, blocks of the last 64 messages) is not seen.
 */
export function explicitCacheOf(body: unknown): ExplicitCache {
  const request = objectOf(body);
  let found = ttlOf(request['cache_control']);
  let left = ITEMS_LOOKED_AT_MAX;
  const look = (items: readonly unknown[]): void => {
    for (let at = items.length - 1; at >= 0 && left > 0 && found !== '1h'; at -= 1) {
      left -= 1;
      found = ttlOf(objectOf(items[at])['cache_control']) ?? found;
    }
  };
  // Each list has its own share, so that long conversations do not hide a marked system prompt.
  look(listOf(request['system']));
  left = ITEMS_LOOKED_AT_MAX;
  look(listOf(request['tools']));
  left = ITEMS_LOOKED_AT_MAX;
  for (const message of listOf(request['messages']).slice(-ITEMS_LOOKED_AT_MAX).toReversed()) {
    look(listOf(objectOf(message)['content']));
  }
  return found;
}

function ttlOf(mark: unknown): ExplicitCache {
  const { type, ttl } = objectOf(mark) as { readonly type?: unknown; readonly ttl?: unknown };
  if (type !== 'ephemeral') return null;
  return ttl === '1h' ? '1h' : '5m';
}
