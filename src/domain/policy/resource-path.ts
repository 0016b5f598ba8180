const API_PREFIX = /^(?:\/(?:openai|v\d+[a-z0-9]*))+(?=\/|$)/i;

/** The path without version, Groq's and Google's `/openai`, and a slash at the end: `/openai/v1/models/` is `/models`. */
export function resourcePath(path: string): string {
  const resource = path.replace(API_PREFIX, '').replace(/\/$/, '');
  return resource === '' ? '/' : resource;
}

/** The beginning that a pattern such as `/v1/files*` asks for. */
export function resourcePrefix(pattern: string): string {
  return pattern.slice(0, -1).replace(API_PREFIX, '');
}
