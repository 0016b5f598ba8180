import { execFileSync } from 'node:child_process';
import path from 'node:path';

const VERIFIER = path.resolve(
  import.meta.dirname,
  '../../../scripts/verify-ledger/verify-ledger.mjs',
);

interface Verdict {
  readonly holds: boolean;
  readonly entries: number;
  readonly sealed_entries: number;
  readonly signatures: string;
  readonly totals: { readonly real: { readonly savings_nano_usd: string } };
  readonly first_difference: { readonly line: number; readonly seq: string } | null;
}

/** As somebody runs it who has the file, the public key and a head, and nothing else. */
export function verifyFile(file: string, key: string, head: string): Verdict {
  const args = [VERIFIER, file, '--public-key', key, '--head', head, '--json'];
  try {
    return JSON.parse(execFileSync(process.execPath, args).toString()) as Verdict;
  } catch (error) {
    const { status, stdout } = error as { status: number | null; stdout: Buffer };
    if (status !== 1) throw error;
    return JSON.parse(stdout.toString()) as Verdict;
  }
}
