import { createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { formatUsd } from '../domain/money/nano-usd.js';
import type { LedgerHead } from '../modules/ledger/ledger-heads.js';
import type { LedgerVerdict } from '../modules/ledger/ledger-verifier.js';
import type { LedgerBreak, LedgerFault, LedgerSum } from '../modules/ledger/ledger-walk.js';
import { isUuid } from '../platform/uuid.js';
import { CliError, text, texts, type Arguments } from './arguments.js';
import type { Command } from './command.js';
import { chosenOrganization, type Session } from './session.js';
import { table } from './table.js';

/** What is beyond it is counted, not listed. */
const ROWS_SHOWN_MAX = 1_000;
/** Enough to compare by eye; the whole hash is in --json. */
const HASH_CHARS_SHOWN = 12;

const FAULTS: Readonly<Record<LedgerFault, string>> = {
  missing: 'is missing',
  out_of_order: 'does not follow the one before it',
  amount: 'has an amount that does not follow from its usage and prices',
  changed: 'is not what was hashed',
  signature: 'does not have the signature of the key that it names',
  unknown_key:
    'is signed with another key than this installation has; one that it had before takes --public-key',
  head_mismatch: 'is not where the ledger ends or went through',
};

const verifyLedger: Command = {
  name: 'verify-ledger',
  summary: 'Recompute the savings ledger, and name the first entry or seal that does not hold',
  usage: [
    '--org <id or name>    one organization; without it all',
    '--head <seal>:<hash>  a head from an earlier export, statement or mail: the chain must go through it',
    '--public-key <file>   a public key (PEM) from before a change of SHUNT_SIGNING_KEY; once for each of them',
  ],
  options: {
    org: { type: 'string' },
    head: { type: 'string' },
    'public-key': { type: 'string', multiple: true },
  },
  async run(session, args) {
    const head = ledgerHeadFrom(text(args, 'head'));
    const formerKeys = await Promise.all(texts(args, 'public-key').map(publicKeyIn));
    const isOne = head !== null || text(args, 'org') !== undefined;
    const summary = isOne
      ? await one(session, args, head, formerKeys)
      : await all(session, formerKeys);
    return {
      json: { ...summary, verdicts: summary.verdicts.map(jsonOf) },
      text: told(summary, await namesOf(session)),
      ...(summary.broken > 0 ? { exitCode: 1 as const } : {}),
    };
  },
};

interface Summary {
  readonly ledgers: number;
  readonly entries: number;
  readonly broken: number;
  /** The broken ones, then those that hold, up to a bound. */
  readonly verdicts: readonly LedgerVerdict[];
}

async function one(
  session: Session,
  args: Arguments,
  head: LedgerHead | null,
  formerKeys: readonly string[],
): Promise<Summary> {
  const orgId = await ledgerFrom(session, args);
  const verdict = await session.ledgerVerifier.verify(orgId, head, formerKeys);
  return {
    ledgers: 1,
    entries: verdict.entries,
    broken: verdict.broken === null ? 0 : 1,
    verdicts: [verdict],
  };
}

async function all(session: Session, formerKeys: readonly string[]): Promise<Summary> {
  const broken: LedgerVerdict[] = [];
  const whole: LedgerVerdict[] = [];
  let [ledgers, entries, brokenCount] = [0, 0, 0];
  for await (const verdict of session.ledgerVerifier.verifyAll(formerKeys)) {
    ledgers += 1;
    entries += verdict.entries;
    if (verdict.broken !== null) brokenCount += 1;
    const kept = verdict.broken === null ? whole : broken;
    if (kept.length < ROWS_SHOWN_MAX) kept.push(verdict);
  }
  const verdicts = [...broken, ...whole].slice(0, ROWS_SHOWN_MAX);
  return { ledgers, entries, broken: brokenCount, verdicts };
}

/** Also of an organization that is gone: its ledger stays. */
async function ledgerFrom(session: Session, args: Arguments): Promise<string> {
  const wanted = text(args, 'org')?.toLowerCase();
  if (wanted === undefined || !isUuid(wanted)) return (await chosenOrganization(session, args)).id;
  if ((await session.organizations.find(wanted)) !== null) return wanted;
  if ((await session.ledgerVerifier.verify(wanted)).entries > 0) return wanted;
  throw new CliError(`There is no organization ${wanted}, and no ledger of one.`);
}

/** `<seal>:<hash>`, as exports, statements and mails print it. */
export function ledgerHeadFrom(given: string | undefined): LedgerHead | null {
  if (given === undefined) return null;
  const [, seal, hash] = /^(\d{1,15}):([0-9a-f]{64})$/i.exec(given.trim()) ?? [];
  if (seal === undefined || hash === undefined) {
    throw new CliError('--head takes <seal>:<hash>: a number and 64 hexadecimal digits.', 2);
  }
  return { seal: Number(seal), hash: hash.toLowerCase() };
}

async function publicKeyIn(file: string): Promise<string> {
  const pem = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new CliError(`${file} cannot be read (${error.code ?? 'unknown'}).`);
  });
  try {
    if (createPublicKey(pem).asymmetricKeyType === 'ed25519') return pem;
  } catch {
    // Told below.
  }
  throw new CliError(`${file} is not an Ed25519 public key in PEM.`);
}

async function namesOf(session: Session): Promise<ReadonlyMap<string, string>> {
  const organizations = await session.organizations.list();
  return new Map(organizations.map(({ id, name }) => [id, name]));
}

/** Amounts as decimal strings: JSON has no integers of that size. */
function jsonOf(verdict: LedgerVerdict): unknown {
  const { real, auto, synthetic } = verdict.totals;
  return {
    ...verdict,
    head: `${verdict.head.seal}:${verdict.head.hash}`,
    totals: { real: sumOf(real), auto: sumOf(auto), synthetic: sumOf(synthetic) },
  };
}

function sumOf(sum: LedgerSum) {
  return {
    entries: sum.entries,
    actualNanoUsd: String(sum.actualNanoUsd),
    baselineNanoUsd: String(sum.baselineNanoUsd),
    savingsNanoUsd: String(sum.savingsNanoUsd),
  };
}

function told(summary: Summary, names: ReadonlyMap<string, string>): string {
  const rows = summary.verdicts.map(({ orgId, entries, sealedEntries, head, totals, broken }) => [
    orgId,
    names.get(orgId) ?? '(gone)',
    String(entries),
    String(sealedEntries),
    head.seal === 0 ? '-' : `${head.seal}:${head.hash.slice(0, HASH_CHARS_SHOWN)}...`,
    formatUsd(totals.real.savingsNanoUsd),
    totals.auto.entries === 0 ? '-' : formatUsd(totals.auto.savingsNanoUsd),
    totals.synthetic.entries === 0 ? '-' : formatUsd(totals.synthetic.savingsNanoUsd),
    broken === null ? 'holds' : verdictOf(broken),
  ]);
  const headings = [
    'id',
    'name',
    'entries',
    'sealed',
    'head',
    'saved USD',
    'of it by shunt/auto',
    'sandbox USD',
    'verdict',
  ];
  const { ledgers, entries, broken } = summary;
  const left = ledgers - rows.length;
  return [
    table(headings, rows),
    ...(left > 0 ? [`(${left} more are counted, not shown)`] : []),
    '',
    broken === 0
      ? `${holding(ledgers)}, ${counted(entries, 'entry', 'entries')}: amounts, hashes, seals, signatures.`
      : `${broken} of ${counted(ledgers, 'ledger', 'ledgers')} broken. Everything before the named entry or seal holds.`,
  ].join('\n');
}

function holding(ledgers: number): string {
  return ledgers === 1 ? 'The one ledger holds' : `All ${ledgers} ledgers hold`;
}

function counted(count: number, singular: string, plural: string): string {
  return `${count} ${count === 1 ? singular : plural}`;
}

function verdictOf({ fault, in: what, seq, field }: LedgerBreak): string {
  return `BROKEN: ${what} ${seq} ${FAULTS[fault]}${field === null ? '' : ` (${field})`}`;
}

export const ledgerCommands: readonly Command[] = [verifyLedger];
