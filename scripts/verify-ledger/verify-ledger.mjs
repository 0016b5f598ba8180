#!/usr/bin/env node
/*
 * Verifies an exported savings ledger with nothing but this folder and Node 20 or newer: no package, no network, no
 * database. It recomputes every amount from usage and unit prices, every hash and every seal, checks that the chain
 * goes through a head that you kept, and names the first difference. docs/savings-ledger.md describes the format; this
 * program shares no code with the one that writes it.
 */
import { createHash, createPublicKey, verify } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import {
  CHAIN_START,
  COLUMNS,
  costOf,
  Difference,
  hashFields,
  HASHED,
  lines,
  OF_SEALS,
  recordOf,
  sameOrDiffer,
  sha256,
  timeOf,
} from './ledger-format.mjs';

const USAGE = `Usage: node verify-ledger.mjs <file.csv | -> [options]
  --head <seal>:<hash>    a head from an earlier export, statement or mail: the chain must go through it
  --head-file <file>      the same from a signed head (JSON); its signature is checked too
  --public-key <file>     the installation's public key (PEM): every seal and the end must be signed with it. After a
                          change of keys give each of them, the earlier ones too: --public-key new --public-key old
  --json                  the answer as JSON
Exit code 0: everything holds, 1: something does not, 2: it could not be read.`;

const sum = () => ({ entries: 0, actual: 0n, baseline: 0n, savings: 0n });

class Ledger {
  orgId = null;
  entries = 0;
  seals = 0;
  sealed = 0;
  sealHash = CHAIN_START;
  root = createHash('sha256');
  totals = { real: sum(), auto: sum(), synthetic: sum() };
  /** How many signatures were checked with which key. */
  signatures = new Map();
  ended = false;

  constructor({ head, keys }) {
    Object.assign(this, { earlier: head, keys });
    this.meetEarlier();
  }

  take(record, fileHash) {
    if (this.ended) throw new Difference('there is something after the end', 'row', record.row);
    this.orgId ??= record.org_id;
    sameOrDiffer('of another organization', 'org_id', record.org_id, this.orgId);
    if (record.row === 'entry') this.entry(record);
    else if (record.row === 'seal') this.seal(record);
    else if (record.row === 'end') this.end(record, fileHash);
    else throw new Difference('not a row of a ledger', 'row', record.row);
  }

  entry(record) {
    this.follow('entry', record.seq, this.entries + 1);
    this.isEmpty(record, OF_SEALS);
    const actual = costOf(record, 'usage', 'served_prices');
    const baseline = costOf(record, 'baseline_usage', 'baseline_prices');
    const rule = 'does not follow from usage and prices';
    sameOrDiffer(rule, 'actual_nano_usd', record.actual_nano_usd, String(actual));
    sameOrDiffer(rule, 'baseline_nano_usd', record.baseline_nano_usd, String(baseline));
    const savings = String(baseline - actual);
    sameOrDiffer(
      'is not baseline less actual',
      'savings_nano_usd',
      record.savings_nano_usd,
      savings,
    );
    const hashed = { ...record, at_ms: timeOf(record) };
    const hash = hashFields(['shunt-ledger-1', ...HASHED.map((column) => hashed[column])]);
    sameOrDiffer('the entry is not what was hashed', 'hash', record.hash, hash);
    this.entries += 1;
    this.root.update(Buffer.from(hash, 'hex'));
    this.add(record, actual, baseline);
  }

  add(record, actual, baseline) {
    const { real, auto, synthetic } = this.totals;
    const into = record.synthetic === 'true' ? [synthetic] : [real];
    if (record.synthetic !== 'true' && record.auto === 'true') into.push(auto);
    for (const one of into) {
      one.entries += 1;
      one.actual += actual;
      one.baseline += baseline;
      one.savings += baseline - actual;
    }
  }

  seal(record) {
    this.follow('seal', record.seq, this.seals + 1);
    this.isEmpty(record, COLUMNS.slice(3, COLUMNS.indexOf('hash')));
    const last = Number(record.seal_last);
    sameOrDiffer(
      'does not begin after the seal before',
      'seal_first',
      record.seal_first,
      String(this.sealed + 1),
    );
    if (last > this.entries)
      throw new Difference(`entry ${this.entries + 1} is missing before it`, 'seal_last');
    sameOrDiffer(
      'does not end with the entry before it',
      'seal_last',
      record.seal_last,
      String(this.entries),
    );
    sameOrDiffer(
      'is not the hash of the seal before',
      'seal_prev',
      record.seal_prev,
      this.sealHash,
    );
    const root = this.root.digest('hex');
    sameOrDiffer('is not the root of its entries', 'seal_root', record.seal_root, root);
    const { org_id: orgId, seq, seal_first: first, sealed_at: at } = record;
    const hash = hashFields([
      'shunt-seal-1',
      orgId,
      seq,
      first,
      String(last),
      root,
      this.sealHash,
      at,
    ]);
    sameOrDiffer('the seal is not what was hashed', 'hash', record.hash, hash);
    this.signed(record, lines('shunt-ledger-head-1', orgId, seq, String(last), hash, at));
    this.seals += 1;
    this.sealed = last;
    this.sealHash = hash;
    this.root = createHash('sha256');
    this.meetEarlier();
  }

  end(record, fileHash) {
    if (Number(record.seq) > this.entries) {
      throw new Difference(
        `entry ${this.entries + 1} is missing`,
        'seq',
        String(this.entries),
        record.seq,
      );
    }
    sameOrDiffer('the file ends with another entry', 'seq', record.seq, String(this.entries));
    sameOrDiffer('the file is not what was exported', 'hash', record.hash, fileHash);
    this.signed(
      record,
      lines('shunt-ledger-export-1', record.org_id, record.seq, fileHash, record.at),
    );
    this.ended = true;
    if (this.earlier !== null && this.earlier.seal > this.seals) {
      throw new Difference(`seal ${this.seals + 1} is missing: the head is of a later one`, 'seq');
    }
  }

  signed(record, text) {
    if (!/^[\w-]{86}$/.test(record.signature)) {
      throw new Difference('not a signature', 'signature', record.signature);
    }
    if (!/^[0-9a-f]{16}$/.test(record.key_id))
      throw new Difference('not a key', 'key_id', record.key_id);
    if (this.keys.size === 0) return;
    const { key_id: keyId } = record;
    const key = this.keys.get(keyId);
    // Anybody can sign with a key of their own: a signature that cannot be checked is as good as none.
    if (key === undefined) {
      const given = [...this.keys.keys()].join(' or ');
      throw new Difference('is signed with a key that was not given', 'key_id', keyId, given);
    }
    const signature = Buffer.from(record.signature, 'base64url');
    // Two texts may stand for the same bytes: the last digit has bits to spare.
    const isOneForm = signature.toString('base64url') === record.signature;
    if (!isOneForm || !verify(null, Buffer.from(text), key, signature)) {
      throw new Difference('the signature is not that of the key', 'signature');
    }
    this.signatures.set(keyId, (this.signatures.get(keyId) ?? 0) + 1);
  }

  follow(what, found, expected) {
    const seq = Number(found);
    if (seq > expected)
      throw new Difference(`${what} ${expected} is missing`, 'seq', found, String(expected));
    sameOrDiffer(`${what} out of order`, 'seq', found, String(expected));
  }

  isEmpty(record, columns) {
    for (const column of columns)
      sameOrDiffer('belongs to another kind of row', column, record[column], '');
  }

  meetEarlier() {
    if (this.earlier?.seal !== this.seals) return;
    sameOrDiffer(
      'the chain does not go through the head',
      'hash',
      this.sealHash,
      this.earlier.hash,
    );
  }
}

async function verifyFile(input, options) {
  const fileHash = createHash('sha256');
  const reader = createInterface({ input, crlfDelay: Infinity });
  let line = 0;
  let record = null;
  let ledger = null;
  try {
    ledger = new Ledger(options);
    for await (const text of reader) {
      line += 1;
      record = null;
      if (line === 1) {
        sameOrDiffer('not the header of a ledger', null, text, COLUMNS.join(','));
      } else {
        record = recordOf(text);
        const before = record.row === 'end' ? fileHash.copy().digest('hex') : null;
        ledger.take(record, before);
      }
      fileHash.update(`${text}\n`);
    }
    if (!ledger.ended) throw new Difference('the file has no end: something was cut off', 'row');
    return { ledger, broken: null };
  } catch (error) {
    if (!(error instanceof Difference)) throw error;
    const { what, field, found, expected } = error;
    const at = { line, row: record?.row ?? null, seq: record?.seq ?? null };
    return { ledger, broken: { ...at, field, what, found, expected } };
  } finally {
    reader.close();
  }
}

function keyIn(file) {
  const pem = readFileSync(file, 'utf8');
  try {
    const key = createPublicKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Told below.
  }
  throw new Error(`${file} is not an Ed25519 public key in PEM`);
}

/** By the id that rows name them with. */
function keysIn(files) {
  return new Map(
    files.map((file) => {
      const key = keyIn(file);
      return [sha256(key.export({ format: 'der', type: 'spki' })).slice(0, 16), key];
    }),
  );
}

function optionsOf(values) {
  const keys = keysIn(values['public-key'] ?? []);
  const file = values['head-file'];
  const signed = file === undefined ? null : JSON.parse(readFileSync(file, 'utf8'));
  const given = signed === null ? values.head : `${signed.seal}:${signed.hash}`;
  const [, seal, hash] = /^(\d{1,15}):([0-9a-f]{64})$/i.exec(given?.trim() ?? '') ?? [];
  if (given !== undefined && seal === undefined) throw new Error('a head is <seal>:<hash>');
  const head = seal === undefined ? null : { seal: Number(seal), hash: hash.toLowerCase() };
  if (signed !== null && keys.size > 0) {
    const { org_id: orgId, entries, sealed_at: at } = signed;
    const text = lines('shunt-ledger-head-1', orgId, signed.seal, entries, signed.hash, at);
    const signature = Buffer.from(String(signed.signature), 'base64url');
    const isGenuine = (key) => verify(null, Buffer.from(text), key, signature);
    if (![...keys.values()].some(isGenuine)) {
      throw new Error('the signature of the head is not that of a given key');
    }
  }
  return { head, keys };
}

const usd = (nano) => {
  const digits = String(nano < 0n ? -nano : nano).padStart(10, '0');
  return `${nano < 0n ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`;
};

function told({ ledger, broken }, options) {
  const totals = Object.entries(ledger?.totals ?? {}).map(([name, one]) => {
    const nano = {
      actual_nano_usd: one.actual,
      baseline_nano_usd: one.baseline,
      savings_nano_usd: one.savings,
    };
    const texts = Object.entries(nano).map(([key, value]) => [key, String(value)]);
    return [name, { entries: one.entries, ...Object.fromEntries(texts) }];
  });
  return {
    holds: broken === null,
    org_id: ledger?.orgId ?? null,
    entries: ledger?.entries ?? 0,
    sealed_entries: ledger?.sealed ?? 0,
    head: ledger === null ? null : `${ledger.seals}:${ledger.sealHash}`,
    totals: Object.fromEntries(totals),
    signatures: options.keys.size === 0 ? 'not checked: no public key given' : 'checked',
    signatures_checked: Object.fromEntries(ledger?.signatures ?? []),
    first_difference: broken,
  };
}

const counted = (count, one, many) => `${count} ${count === 1 ? one : many}`;

/** Both what was checked and what was not: without a key nothing shows who wrote the file. */
function signaturesInWords(checked, { head, keys }) {
  if (keys.size === 0) {
    const known = head === null ? '' : ', but for what is under seal up to the head that you gave';
    return `NOT CHECKED, no --public-key was given: anybody could have written this file${known}`;
  }
  const byKey = Object.entries(checked).map(([keyId, count]) => `${count} of key ${keyId}`);
  return `${byKey.join(', ') || 'none'} checked, with what you gave as public key`;
}

function inWords(answer, options) {
  const { totals } = answer;
  const line = (name, { entries, savings_nano_usd: savings }) =>
    `  ${name.padEnd(28)}${String(entries).padStart(9)} entries   saved ${usd(BigInt(savings))} USD`;
  const found = answer.first_difference;
  const place = found && `line ${found.line}${found.row ? ` (${found.row} ${found.seq})` : ''}`;
  return [
    `Organization ${answer.org_id}, ${counted(answer.entries, 'entry', 'entries')}, ${answer.sealed_entries} of them under seal.`,
    `Head ${answer.head}`,
    `Signatures: ${signaturesInWords(answer.signatures_checked, options)}.`,
    ...(totals.real ? [line('all', totals.real), line('of them shunt/auto', totals.auto)] : []),
    ...(totals.real ? [line('sandbox (in no sum)', totals.synthetic)] : []),
    found === null
      ? options.keys.size === 0
        ? 'Amounts, hashes and seals agree with each other. Who wrote them was not checked.'
        : 'Everything holds: amounts, hashes, seals, signatures.'
      : `DOES NOT HOLD at ${place}${found.field ? `, ${found.field}` : ''}: ${found.what}` +
        (found.expected === null ? '.' : ` (is ${found.found}, follows ${found.expected}).`),
  ].join('\n');
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      head: { type: 'string' },
      'head-file': { type: 'string' },
      'public-key': { type: 'string', multiple: true },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help || positionals.length !== 1) {
    process.stdout.write(`${USAGE}\n`);
    return values.help ? 0 : 2;
  }
  const options = optionsOf(values);
  const [file] = positionals;
  const input = file === '-' ? process.stdin : createReadStream(file);
  const result = await verifyFile(input, options);
  const answer = told(result, options);
  process.stdout.write(
    `${values.json ? JSON.stringify(answer, null, 2) : inWords(answer, options)}\n`,
  );
  return answer.holds ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
