import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { LedgerEntry } from '../../../src/domain/savings/ledger-entry.js';
import { appendEntriesWithin } from '../../../src/modules/ledger/ledger-columns.js';
import { LedgerExport } from '../../../src/modules/ledger/ledger-csv.js';
import { LedgerHeads } from '../../../src/modules/ledger/ledger-heads.js';
import { LedgerSealer } from '../../../src/modules/ledger/ledger-sealer.js';
import { LedgerVerifier } from '../../../src/modules/ledger/ledger-verifier.js';
import { systemClock } from '../../../src/platform/clock.js';
import { Signer } from '../../../src/platform/crypto/signer.js';
import type { Database } from '../../../src/platform/postgres/database.js';
import type { Queryable } from '../../../src/platform/postgres/queryable.js';
import { scopeToOrganization } from '../../../src/platform/postgres/session-scope.js';
import { createLogger } from '../../../src/platform/telemetry/logger.js';
import { testDatabase, type TestDatabase } from '../../support/postgres.js';

const SCRIPT = path.resolve(
  import.meta.dirname,
  '../../../scripts/verify-ledger/verify-ledger.mjs',
);
const ENTRIES_PER_BATCH = 500;
const logger = createLogger('silent');

/** What `--json` of the script says. */
export interface ScriptAnswer {
  readonly exitCode: number | null;
  readonly holds: boolean;
  readonly entries: number;
  readonly sealed_entries: number;
  readonly head: string;
  readonly totals: Record<'real' | 'auto' | 'synthetic', Record<string, string | number>>;
  readonly signatures: string;
  readonly signatures_checked: Readonly<Record<string, number>>;
  readonly first_difference: {
    readonly line: number;
    readonly row: string | null;
    readonly seq: string | null;
    readonly field: string | null;
    readonly what: string;
  } | null;
}

export interface LedgerRig {
  readonly db: TestDatabase;
  readonly signer: Signer;
  sealer(database?: Database): LedgerSealer;
  verifier(database?: Database): LedgerVerifier;
  heads(): LedgerHeads;
  append(orgId: string, entries: readonly LedgerEntry[]): Promise<void>;
  csv(orgId: string, database?: Database): Promise<string>;
  /** Runs the offline script on a text, with the public key unless told otherwise. */
  script(csv: string, ...args: string[]): ScriptAnswer;
  /** The same with these files as public keys, or none; `words` is what it says without `--json`. */
  scriptWithKeys(csv: string, keys: readonly string[], ...args: string[]): ScriptAnswer;
  words(csv: string, ...args: string[]): string;
  /** A file of this rig with that content. */
  file(name: string, content: string): string;
  /**
   * What both see of a ledger after the owner of the schema changed it with all triggers off; nothing of it stays.
   */
  tampered<T>(
    orgId: string,
    statements: readonly string[],
    look: (database: Database) => Promise<T>,
  ): Promise<T>;
  close(): Promise<void>;
}

export function newSigner(): Signer {
  const { privateKey } = generateKeyPairSync('ed25519');
  return new Signer(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
}

export async function ledgerRig(): Promise<LedgerRig> {
  const db = await testDatabase();
  const signer = newSigner();
  const dir = mkdtempSync(path.join(tmpdir(), 'shunt-ledger-'));
  const file = (name: string, content: string): string => {
    const at = path.join(dir, name);
    writeFileSync(at, content);
    return at;
  };
  const publicKey = file('public.pem', signer.publicKey);
  return {
    db,
    signer,
    file,
    sealer: (database = db.database) => new LedgerSealer(database, signer, systemClock, logger),
    verifier: (database = db.database) => new LedgerVerifier(database, signer.publicKey),
    heads: () => new LedgerHeads(db.database, signer.publicKey),
    append: (orgId, entries) => append(db.database, orgId, entries),
    csv: async (orgId, database = db.database) => {
      let text = '';
      for await (const chunk of new LedgerExport(database, signer, systemClock).csv(orgId)) {
        text += chunk;
      }
      return text;
    },
    script: (csv, ...args) => answerOf(file('ledger.csv', csv), [publicKey], args),
    scriptWithKeys: (csv, keys, ...args) => answerOf(file('ledger.csv', csv), keys, args),
    words: (csv, ...args) => runScript(file('ledger.csv', csv), args).stdout,
    tampered: (orgId, statements, look) => tampered(db, orgId, statements, look),
    close: async () => {
      rmSync(dir, { recursive: true, force: true });
      await db.close();
    },
  };
}

async function append(
  database: Database,
  orgId: string,
  entries: readonly LedgerEntry[],
): Promise<void> {
  for (let at = 0; at < entries.length; at += ENTRIES_PER_BATCH) {
    const batch = entries.slice(at, at + ENTRIES_PER_BATCH);
    await database.tenant(orgId, (q) => appendEntriesWithin(q, batch));
  }
}

function runScript(file: string, args: readonly string[]) {
  // A file of any length in a memory of this one.
  const run = spawnSync(process.execPath, ['--max-old-space-size=24', SCRIPT, file, ...args], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (run.stdout === '') throw new Error(run.stderr);
  return run;
}

function answerOf(file: string, keys: readonly string[], args: readonly string[]): ScriptAnswer {
  const given = keys.flatMap((key) => ['--public-key', key]);
  const { status, stdout } = runScript(file, ['--json', ...given, ...args]);
  return { exitCode: status, ...(JSON.parse(stdout) as Omit<ScriptAnswer, 'exitCode'>) };
}

async function tampered<T>(
  db: TestDatabase,
  orgId: string,
  statements: readonly string[],
  look: (database: Database) => Promise<T>,
): Promise<T> {
  const undone = new Error('undone');
  const seen: T[] = [];
  const transaction = db.owner.transaction(async (q: Queryable) => {
    await scopeToOrganization(q, orgId);
    for (const table of ['savings_ledger', 'seals', 'ledger_heads']) {
      await q.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
    }
    await q.query('ALTER TABLE savings_ledger DROP CONSTRAINT savings_is_the_difference');
    for (const sql of statements) await q.query(sql);
    // Within the transaction, for which nothing of it is over yet.
    const inside = { tenant: (_: string, work: (q: Queryable) => unknown) => work(q) };
    seen.push(await look(inside as unknown as Database));
    throw undone;
  });
  await transaction.catch((error: unknown) => {
    if (error !== undone) throw error;
  });
  return seen[0] as T;
}
