import type { IncomingMessage, ServerResponse } from 'node:http';

type Handler = (req: IncomingMessage, res: ServerResponse) => void;

/** The two ways to the framework where operators have a listener of their own. */
export interface AdminDoors {
  /** Everything but `/admin`. */
  readonly common: Handler;
  /** `/admin` and the probes, and nothing else. */
  readonly admin: Handler;
}

const PROBE = /^\/(?:healthz|readyz|metrics)(?:\?|$)/;
/** As it stands, with nothing in it that another reader might take for something else. */
const PLAIN_ADMIN = /^\/admin(?:\/[\w.~@!$'()*+,;=:%-]+)*\/?(?:\?|$)/;
const AMBIGUOUS = /%(?:2e|2f|5c|00)|\/\.{1,2}(?:\/|$|\?)/i;
const DECODED_MAX = 3;

const byAdminListener = new WeakSet<IncomingMessage>();

/** Whether a request came by the operators' own listener. Asked once more behind the router, which has the last word. */
export function cameByAdminListener(req: IncomingMessage): boolean {
  return byAdminListener.has(req);
}

export function adminDoors(others: Handler): AdminDoors {
  return {
    common(req, res) {
      if (mayMeanAdmin(req.url ?? '/')) refuse(res);
      else others(req, res);
    },
    admin(req, res) {
      const target = req.url ?? '/';
      const [path = ''] = target.split('?');
      const isAdmin = PLAIN_ADMIN.test(target) && !AMBIGUOUS.test(path);
      if (!isAdmin && !PROBE.test(target)) return refuse(res);
      byAdminListener.add(req);
      others(req, res);
    },
  };
}

/** However it is written: the common listener has nothing that begins like it. */
export function mayMeanAdmin(target: string): boolean {
  let [path = ''] = target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '').split(/[?#]/);
  for (let round = 0; round < DECODED_MAX; round += 1) {
    if (beginsWithAdmin(path)) return true;
    const decoded = path.replace(/%[0-9a-f]{2}/gi, (code) =>
      String.fromCharCode(Number.parseInt(code.slice(1), 16)),
    );
    if (decoded === path) return false;
    path = decoded;
  }
  return beginsWithAdmin(path);
}

/** With every part that is empty or a dot left out, and `..` taken back. */
function beginsWithAdmin(path: string): boolean {
  const parts: string[] = [];
  for (const part of path.toLowerCase().split(/[/\\;?#]/)) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts[0] === 'admin' || /^[/\\]*admin(?:[/\\;?#]|$)/i.test(path);
}

const BODY = JSON.stringify({ error: { code: 'not_found', message: 'There is nothing here.' } });

function refuse(res: ServerResponse): void {
  res.writeHead(404, [
    'content-type',
    'application/json; charset=utf-8',
    'content-length',
    String(Buffer.byteLength(BODY)),
    'cache-control',
    'no-store',
  ]);
  res.end(BODY);
}
