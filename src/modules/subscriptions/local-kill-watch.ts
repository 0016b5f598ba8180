import { readdir } from 'node:fs/promises';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Database } from '../../platform/postgres/database.js';
import { scopeToOrganization } from '../../platform/postgres/session-scope.js';
import { safeError, type Logger } from '../../platform/telemetry/logger.js';
import { INSTALLATION_ID } from '../audit/audit-entry.js';
import { auditInstallationWithin } from '../audit/audit-trail.js';
import { actFiles, type LocalKill, type LocalKillAct } from './local-kill.js';

const LOOK_INTERVAL_MS = 100;
const AUDIT_INTERVAL_MS = 2_000;
/** Any number of its own among the advisory locks of the database. */
const LOCK_KEY = 0x73_68_75_6e_76;

/** Follows the local kill switch in a running process, and brings its acts to the audit trail. */
export class LocalKillWatch {
  #engaged: boolean;
  #latest: string | undefined;
  #unreadable = true;
  #looking = false;
  #auditing: Promise<void> | null = null;
  #timers: NodeJS.Timeout[] = [];

  constructor(
    private readonly kill: LocalKill,
    private readonly logger: Logger,
  ) {
    const { engaged } = kill.state();
    this.#engaged = engaged;
  }

  get engaged(): boolean {
    return this.#engaged;
  }

  start(database: Pick<Database, 'transaction'>): void {
    const look = setInterval(() => void this.look(), LOOK_INTERVAL_MS).unref();
    const audit = setInterval(() => void this.audit(database), AUDIT_INTERVAL_MS).unref();
    this.#timers = [look, audit];
    if (this.#engaged) this.logger.warn('routing is off on this replica: local kill switch');
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#auditing;
  }

  /** Never rejects: a directory that cannot be read counts as an engaged switch. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      const latest = actFiles(await readdir(this.kill.directory)).at(-1);
      if (latest === this.#latest && !this.#unreadable) return;
      this.#latest = latest;
      this.#unreadable = false;
      this.#become(this.kill.state().engaged);
    } catch (error) {
      this.#latest = undefined;
      this.#unreadable = (error as NodeJS.ErrnoException).code !== 'ENOENT';
      this.#become(this.#unreadable);
    } finally {
      this.#looking = false;
    }
  }

  #become(engaged: boolean): void {
    if (engaged === this.#engaged) return;
    this.#engaged = engaged;
    this.logger.warn(
      engaged
        ? 'routing is off on this replica: local kill switch'
        : 'local kill switch released on this replica',
    );
  }

  /** Never rejects, and never runs twice at a time; what could not be audited is tried again. */
  audit(database: Pick<Database, 'transaction'>): Promise<void> {
    this.#auditing ??= this.#auditAll(database)
      .catch((error: unknown) => {
        this.logger.debug({ err: safeError(error) }, 'the local kill switch is not audited yet');
      })
      .finally(() => {
        this.#auditing = null;
      });
    return this.#auditing;
  }

  async #auditAll(database: Pick<Database, 'transaction'>): Promise<void> {
    for (const { file, act } of this.kill.unaudited()) {
      await auditOnce(database, act);
      this.kill.markAudited(file);
    }
  }
}

/** Several processes of a data directory, and a process that died before it made its mark, enter one entry. */
async function auditOnce(
  database: Pick<Database, 'transaction'>,
  { id, kind, by, reason, atMs }: LocalKillAct,
): Promise<void> {
  const actor: Actor = { kind: 'command', name: by };
  const engaged = kind === 'engaged';
  await database.transaction(async (q) => {
    await q.query('SELECT pg_advisory_xact_lock($1)', [LOCK_KEY]);
    await scopeToOrganization(q, INSTALLATION_ID);
    const entered = await q.query(
      `SELECT FROM audit_log
        WHERE org_id = $1 AND action IN ('routing.local_kill', 'routing.local_release') AND subject = $2 LIMIT 1`,
      [INSTALLATION_ID, id],
    );
    if (entered.length > 0) return;
    await auditInstallationWithin(q, {
      actor,
      action: engaged ? 'routing.local_kill' : 'routing.local_release',
      atMs,
      subject: id,
      oldValue: engaged ? 'on' : 'off',
      newValue: engaged ? 'off' : 'on',
      reason,
    });
  });
}
