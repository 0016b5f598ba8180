import { INSTALLATION_ID } from '../modules/audit/audit-entry.js';
import type { ChainHead } from '../modules/audit/audit-heads.js';
import type { ChainVerdict } from '../modules/audit/audit-verifier.js';
import type { Fault } from '../modules/audit/chain-walk.js';
import { isUuid } from '../platform/uuid.js';
import { CliError, text, type Arguments } from './arguments.js';
import type { Command } from './command.js';
import { chosenOrganization, type Session } from './session.js';
import { table } from './table.js';

/** Enough to compare by eye; the whole hash is in --json. */
const HASH_CHARS_SHOWN = 16;

/** What is beyond it is counted, not listed. */
const ROWS_SHOWN_MAX = 1_000;

const FAULTS: Readonly<Record<Fault, string>> = {
  changed: 'entry changed',
  missing: 'entry missing',
  out_of_order: 'entry does not follow the one before it',
  head_mismatch: 'chain does not go through the head',
  illegal_step: 'entry tells of an illegal step of the subscription',
  status_mismatch: 'status or hold is not what the last entry about it says',
};

const verifyAudit: Command = {
  name: 'verify-audit',
  summary: 'Recompute the audit trails, and name the first entry that does not hold',
  usage: [
    '--org <id or name>   one organization; without it all, and the installation itself',
    `                     (whose own chain has the id ${INSTALLATION_ID})`,
    '--head <seq>:<hash>  a head from an earlier export, mail or answer: the chain must go through it',
  ],
  options: { org: { type: 'string' }, head: { type: 'string' } },
  async run(session, args) {
    const names = await namesOf(session);
    const head = headFrom(text(args, 'head'));
    const isOne = head !== null || text(args, 'org') !== undefined;
    const summary = isOne ? await one(session, args, head) : await all(session);
    return {
      json: summary,
      text: told(summary, names),
      ...(summary.broken > 0 ? { exitCode: 1 as const } : {}),
    };
  },
};

interface Summary {
  readonly chains: number;
  readonly entries: number;
  readonly broken: number;
  /** The broken ones, then those that hold, up to a bound. */
  readonly verdicts: readonly ChainVerdict[];
}

async function one(session: Session, args: Arguments, head: ChainHead | null): Promise<Summary> {
  const orgId = await chainFrom(session, args);
  const verdict = await session.auditVerifier.verify(orgId, head);
  return summed([verdict]);
}

async function all(session: Session): Promise<Summary> {
  const broken: ChainVerdict[] = [];
  const whole: ChainVerdict[] = [];
  let chains = 0;
  let entries = 0;
  let brokenCount = 0;
  for await (const verdict of session.auditVerifier.verifyAll()) {
    chains += 1;
    entries += verdict.verified;
    if (verdict.broken !== null) brokenCount += 1;
    const kept = verdict.broken === null ? whole : broken;
    if (kept.length < ROWS_SHOWN_MAX) kept.push(verdict);
  }
  const verdicts = [...broken, ...whole].slice(0, ROWS_SHOWN_MAX);
  return { chains, entries, broken: brokenCount, verdicts };
}

function summed(verdicts: readonly ChainVerdict[]): Summary {
  return {
    chains: verdicts.length,
    entries: verdicts.reduce((sum, { verified }) => sum + verified, 0),
    broken: verdicts.filter(({ broken }) => broken !== null).length,
    verdicts,
  };
}

/** Also of an organization that is gone: its trail stays. */
async function chainFrom(session: Session, args: Arguments): Promise<string> {
  const wanted = text(args, 'org')?.toLowerCase();
  if (wanted === undefined || !isUuid(wanted)) return (await chosenOrganization(session, args)).id;
  const isKnown =
    wanted === INSTALLATION_ID ||
    (await session.organizations.find(wanted)) !== null ||
    (await session.auditTrail.list(wanted, { limit: 1 })).length > 0 ||
    (await session.auditHeads.signed(wanted)).seq > 0;
  if (isKnown) return wanted;
  throw new CliError(`There is no organization ${wanted}, and no trail of one.`);
}

/** `<seq>:<hash>`, as exports and mails print it. */
export function headFrom(given: string | undefined): ChainHead | null {
  if (given === undefined) return null;
  const [, seq, hash] = /^(\d{1,15}):([0-9a-f]{64})$/i.exec(given.trim()) ?? [];
  if (seq === undefined || hash === undefined) {
    throw new CliError('--head takes <seq>:<hash>: a number and 64 hexadecimal digits.', 2);
  }
  return { seq: Number(seq), hash: hash.toLowerCase() };
}

async function namesOf(session: Session): Promise<ReadonlyMap<string, string>> {
  const organizations = await session.organizations.list();
  return new Map(organizations.map(({ id, name }) => [id, name]));
}

function told(summary: Summary, names: ReadonlyMap<string, string>): string {
  const rows = summary.verdicts.map(({ orgId, verified, hash, standing, broken }) => [
    orgId,
    orgId === INSTALLATION_ID ? '(installation)' : (names.get(orgId) ?? '(gone)'),
    String(verified),
    `${hash.slice(0, HASH_CHARS_SHOWN)}...`,
    orgId === INSTALLATION_ID ? '-' : standing.status + (standing.hold ? ', on hold' : ''),
    broken === null ? 'holds' : `BROKEN at ${broken.seq}: ${FAULTS[broken.fault]}`,
  ]);
  const headings = ['id', 'name', 'entries', 'last hash', 'status by trail', 'verdict'];
  const { chains, entries, broken } = summary;
  const left = chains - rows.length;
  return [
    table(headings, rows),
    ...(left > 0 ? [`(${left} more are counted, not shown)`] : []),
    '',
    broken === 0
      ? `${chains === 1 ? 'The one chain holds' : `All ${chains} chains hold`}, ${entries} entries.`
      : `${broken} of ${chains} chains broken. Everything before the named entry holds.`,
  ].join('\n');
}

export const auditCommands: readonly Command[] = [verifyAudit];
