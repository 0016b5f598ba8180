import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { must, usd } from '../screen.js';
import type { Stage } from '../traffic.js';
import { readSavings } from './routing.js';

const VERIFY_MS_MAX = 60_000;
/** From dist/scripts/demo/chapters: the script is not built, so that it can be handed on as it is. */
const SCRIPT = path.resolve(
  import.meta.dirname,
  '../../../../scripts/verify-ledger/verify-ledger.mjs',
);

interface Verdict {
  readonly holds: boolean;
  readonly entries: number;
  readonly sealed_entries: number;
  readonly head: string;
  readonly signatures: string;
  readonly totals: { readonly synthetic: { readonly savings_nano_usd: string } };
  readonly first_difference: { readonly line: number; readonly seq: string; what: string } | null;
}

/** The ledger as a file, checked by a script that knows nothing of this installation; then the trail. */
export async function prove(stage: Stage): Promise<void> {
  const { screen, installation } = stage;
  const { app, orgId, directory } = installation;
  const { ledgerSealer, ledgerHeads, ledgerExport, auditVerifier } = app.engine.services;
  const total = (await readSavings(stage)).total;
  const sealed = await ledgerSealer.seal(orgId);
  const head = await ledgerHeads.current(orgId);
  must(head !== null, 'the ledger was not sealed');
  const file = path.join(directory, 'ledger.csv');
  const key = path.join(directory, 'public-key.pem');
  await writeFile(file, ledgerExport.csv(orgId));
  await writeFile(key, ledgerHeads.publicKey);
  const verdict = await verify(file, key, `${head.seal}:${head.hash}`);
  must(verdict.holds, `the ledger does not hold: ${verdict.first_difference?.what ?? ''}`);
  must(verdict.entries === total.entries, 'the file has other entries than the report');
  must(
    verdict.totals.synthetic.savings_nano_usd === total.savings_nano_usd,
    'what was recomputed is not what was reported',
  );
  const changed = await changeOneDigit(file, path.join(directory, 'changed.csv'));
  const caught = await verify(changed.file, key, `${head.seal}:${head.hash}`);
  must(
    !caught.holds && caught.first_difference?.line === changed.line,
    'a changed digit was not found where it is',
  );
  const trail = await auditVerifier.verify(orgId);
  must(trail.broken === null, 'the audit trail does not hold');
  screen.facts([
    ['entries / under seal', `${verdict.entries} / ${verdict.sealed_entries}`],
    ['signatures', verdict.signatures],
    ['saved, by the report', `${usd(total.savings_nano_usd)} USD (synthetic)`],
    [
      'saved, recomputed from the file',
      `${usd(verdict.totals.synthetic.savings_nano_usd)} USD (synthetic)`,
    ],
    [
      'with one digit changed',
      `found in line ${changed.line}: ${caught.first_difference?.what ?? ''}`,
    ],
    ['audit trail', `${trail.verified} entries, all hold`],
  ]);
  screen.found('proof', { sealed, verdict, tampered: caught.first_difference, trail });
}

async function verify(file: string, key: string, head: string): Promise<Verdict> {
  const args = [SCRIPT, file, '--public-key', key, '--head', head, '--json'];
  const options = { timeout: VERIFY_MS_MAX };
  try {
    const { stdout } = await promisify(execFile)(process.execPath, args, options);
    return JSON.parse(stdout) as Verdict;
  } catch (error) {
    // Exit code 1: it ran, and something does not hold.
    const { code, stdout } = error as { code?: unknown; stdout?: string };
    if (code === 1 && stdout) return JSON.parse(stdout) as Verdict;
    throw error;
  }
}

/** The amount that the first entry saved. */
async function changeOneDigit(file: string, to: string): Promise<{ file: string; line: number }> {
  const lines = (await readFile(file, 'utf8')).split('\n');
  const column = lines[0]!.split(',').indexOf('served_model');
  must(column > 0, 'the file has other columns');
  const at = lines.findIndex((line) => line.startsWith('entry,'));
  const [, digit = ''] = /"inputTokens"":\s*\d*(\d)/.exec(lines[at]!) ?? [];
  must(digit !== '', 'the first entry has no tokens');
  lines[at] = lines[at]!.replace(
    /("inputTokens"":\s*\d*)\d/,
    (_, before: string) => `${before}${(Number(digit) + 1) % 10}`,
  );
  await writeFile(to, lines.join('\n'));
  return { file: to, line: at + 1 };
}
