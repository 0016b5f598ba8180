/** The group role that holds every grant; sessions of the runtime take it on, so that they own nothing. */
export const RUNTIME_ROLE = 'shunt_runtime';

/**
 * The URL with server settings added to its `options`. They travel in the URL because pg lets a URL override
 * its other options: settings given beside it would be lost where the URL has `options` of its own.
 */
export function withSettings(url: string, settings: Readonly<Record<string, string>>): string {
  const parsed = new URL(url);
  const given = parsed.searchParams.get('options');
  const added = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
  parsed.searchParams.set('options', [...(given ? [given] : []), ...added].join(' '));
  return parsed.toString();
}

/** Host, port and database for a message: never the password. */
export function placeOf(url: string): string {
  const { hostname, port, pathname } = new URL(url);
  return `${hostname || 'localhost'}:${port || '5432'}${pathname}`;
}
