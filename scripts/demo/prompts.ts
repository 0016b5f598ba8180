import { openPrompts, type ReadRow } from '../replay/prompt-rows.js';
import { StepFailed } from './screen.js';

/** More are not kept: the demo goes round. */
const PROMPTS_MAX = 5_000;
const PROMPT_CHARS_MAX = 20_000;

const SUBJECTS = [
  ...['an invoice that came twice', 'a parcel that never arrived', 'a password that is refused'],
  ...['a contract that ends in March', 'a report that shows no figures', 'a refund of last week'],
  ...[
    'an export that stops halfway',
    'a wrong delivery address',
    'a discount that was not applied',
  ],
];
const WISHES = [
  ...['What should be done next?', 'Say in one sentence what it is about.', 'Is it urgent?'],
  ...['Which team should look at it?', 'What is missing in it?', 'Draft a short answer.'],
];

/** Prompts in turn, without an end. */
export interface Prompts {
  readonly source: 'file' | 'generated';
  readonly count: number;
  next(): string;
}

const GOOD_FILE =
  'A file of prompts has one JSON object a line with a "prompt" text, and is packed with gzip where its name ends in .gz.';

/** The file's prompts, or made-up ones where there is no file; rejects, in one line, where the file has none. */
export async function gatherPrompts(file: string | null): Promise<Prompts> {
  const texts = file === null ? generated() : await fromFile(file);
  let at = 0;
  return {
    source: file === null ? 'generated' : 'file',
    count: texts.length,
    next: () => texts[at++ % texts.length] ?? '',
  };
}

async function fromFile(file: string): Promise<string[]> {
  const texts: string[] = [];
  let firstWrong: string | null = null;
  try {
    const { rows } = await openPrompts(file);
    for await (const read of rows) {
      const wrong = wrongWith(read);
      if (wrong !== null) firstWrong ??= `line ${read.line}: ${wrong}`;
      else if (read.kind === 'row') texts.push(read.row.prompt);
      if (texts.length === PROMPTS_MAX) break;
    }
  } catch (error) {
    throw unreadable(file, reasonOf(error));
  }
  if (texts.length === 0) throw unreadable(file, firstWrong ?? 'it is empty');
  return texts;
}

function wrongWith(read: ReadRow): string | null {
  if (read.kind === 'malformed') return read.reason;
  const isLong = read.row.prompt.length > PROMPT_CHARS_MAX;
  return isLong ? `a prompt of more than ${PROMPT_CHARS_MAX} characters` : null;
}

function unreadable(file: string, reason: string): StepFailed {
  return new StepFailed(`${file} cannot be read: ${reason}. ${GOOD_FILE}`);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'this user may not read it',
};

function reasonOf(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (code.startsWith('Z_')) return 'it is not gzip, or was cut off';
  return REASONS[code] ?? (code === '' ? message.replace(/\.$/, '') : code);
}

function generated(): string[] {
  return WISHES.flatMap((wish, at) =>
    SUBJECTS.map((subject, number) => `Case ${at * SUBJECTS.length + number}: ${subject}. ${wish}`),
  );
}
