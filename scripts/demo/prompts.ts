import { openPrompts } from '../replay/prompt-rows.js';
import { must, StepFailed } from './screen.js';

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

/** The file's prompts, or made-up ones where there is no file; rejects where the file has none. */
export async function gatherPrompts(file: string | null): Promise<Prompts> {
  const texts = file === null ? generated() : await fromFile(file);
  must(texts.length > 0, 'the file holds no prompt');
  let at = 0;
  return {
    source: file === null ? 'generated' : 'file',
    count: texts.length,
    next: () => texts[at++ % texts.length] ?? '',
  };
}

async function fromFile(file: string): Promise<string[]> {
  const texts: string[] = [];
  const { rows } = await openPrompts(file).catch((error: Error) => {
    throw new StepFailed(`the prompts cannot be read: ${error.message}`);
  });
  for await (const read of rows) {
    if (read.kind === 'row' && read.row.prompt.length <= PROMPT_CHARS_MAX) {
      texts.push(read.row.prompt);
    }
    if (texts.length === PROMPTS_MAX) break;
  }
  return texts;
}

function generated(): string[] {
  return WISHES.flatMap((wish, at) =>
    SUBJECTS.map((subject, number) => `Case ${at * SUBJECTS.length + number}: ${subject}. ${wish}`),
  );
}
