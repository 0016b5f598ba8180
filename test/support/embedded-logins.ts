import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** Where the embedded server of a data directory keeps its files, and how to reach it while it runs. */
export interface EmbeddedLogins {
  readonly superuserUrl: string;
  readonly ownerUrl: string;
  readonly runtimeUrl: string;
  readonly pid: number;
  /** The server's own log. */
  readonly logFile: string;
  /** All directories that hold something of this installation. */
  readonly directories: readonly string[];
}

/** Of a running server. */
export function embeddedLogins(shuntDataDir: string): EmbeddedLogins {
  const home = path.join(shuntDataDir, 'postgres');
  const pointer = path.join(home, 'location');
  const elsewhere = existsSync(pointer) ? readFileSync(pointer, 'utf8').trim() : null;
  const pidFile = path.join(elsewhere ?? path.join(home, 'data'), 'postmaster.pid');
  const [pid, , , port] = readFileSync(pidFile, 'utf8').split('\n');
  const passwords = JSON.parse(readFileSync(path.join(home, 'credentials.json'), 'utf8')) as {
    readonly superuser: string;
    readonly owner: string;
    readonly runtime: string;
  };
  const url = (login: string, password: string): string =>
    `postgres://${login}:${password}@127.0.0.1:${port}/shunt`;
  return {
    superuserUrl: url('postgres', passwords.superuser),
    ownerUrl: url('shunt_owner', passwords.owner),
    runtimeUrl: url('shunt_app', passwords.runtime),
    pid: Number(pid),
    logFile: path.join(home, 'server.log'),
    directories: elsewhere === null ? [shuntDataDir] : [shuntDataDir, elsewhere],
  };
}
