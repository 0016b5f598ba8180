import { figures, linkBlock, paragraph, type Block, type Figure } from './letter.js';
import { dollars, percent, type MailData } from './mail-data.js';
import { trailLine } from './status-mails.js';
import type { Template, TemplateInput } from './template.js';

const UNTOUCHED = 'Your calls are forwarded exactly as your applications send them.';
const STAYS = 'Nothing is routed unless an owner or admin enables it.';

export const observationStarted: Template = ({ data, organization, link }) => {
  const end = data.day('ends_at');
  return {
    subject: `Shunt is observing ${organization}`,
    blocks: [
      paragraph(`The first call of ${organization} came through, and observation has begun.`),
      paragraph(
        `${UNTOUCHED} Meanwhile Shunt works out what routing would have cost` +
          `${end === null ? '' : `, until ${end}`}.`,
      ),
      linkBlock('See what has been measured', link('/')),
    ],
  };
};

export const interimReport: Template = (input) => ({
  subject: `Halfway: what Shunt has measured for ${input.organization}`,
  blocks: [
    paragraph(`Here is what has been measured so far for ${input.organization}. ${UNTOUCHED}`),
    ...reportBlocks(input),
    ...endBlocks(input.data),
  ],
});

const reminder =
  (left: string): Template =>
  (input) => ({
    subject: `Observation of ${input.organization} ends in ${left}`,
    blocks: [
      paragraph(
        `The observation of ${input.organization} ends in ${left}. ${UNTOUCHED} ` +
          'The end changes nothing about that.',
      ),
      ...reportBlocks(input),
      paragraph(`${STAYS} The report is there to decide by.`),
    ],
  });

export const reminderThreeDays = reminder('three days');
export const reminderOneDay = reminder('one day');

export const conversionReport: Template = (input) => ({
  subject: `The report for ${input.organization} is ready`,
  blocks: [
    paragraph(
      `The observation of ${input.organization} has ended, and this is what it found. ${UNTOUCHED}`,
    ),
    ...reportBlocks(input),
    paragraph(`${STAYS} Until then everything goes on as it is.`),
    ...trailLine(input.data),
  ],
});

export const reminderAfterEnd: Template = (input) => ({
  subject: `The report for ${input.organization} waits for your decision`,
  blocks: [
    paragraph(
      `The observation of ${input.organization} ended a few days ago. ${UNTOUCHED} ` +
        `${STAYS} This is the last reminder.`,
    ),
    ...reportBlocks(input),
  ],
});

function reportBlocks({ data, link }: TemplateInput): Block[] {
  const rows = figuresOf(data);
  const report = data.id('report_id');
  return [
    ...(rows.length > 0 ? [figures(rows)] : []),
    linkBlock('Read the report', link(report === null ? '/reports' : `/reports/${report}`)),
  ];
}

/** What is known is said, what is missing is not. Unmetered and unpriceable calls are in no sum, so they stand beside it. */
function figuresOf(data: MailData): Figure[] {
  const known: readonly (readonly [label: string, value: string | null])[] = [
    ['Period', data.period('period')],
    ['Calls', data.count('calls')],
    ['of these metered', data.count('metered_calls')],
    ['of these without usage from the provider (in no sum)', data.count('unmetered_calls')],
    ['of these without a known price (in no sum)', data.count('unpriceable_calls')],
    ['Spend', data.usd('spend_nano_usd')],
    ['Calls with a projection', data.count('projected_calls')],
    ['Spend with routing, projected', data.usd('projected_nano_usd')],
    ['Savings, projected', savingsOf(data)],
  ];
  return known.flatMap(([label, value]) => (value === null ? [] : [[label, value] as const]));
}

function savingsOf(data: MailData): string | null {
  const [savings, spend] = [
    data.integer('projected_savings_nano_usd'),
    data.integer('spend_nano_usd'),
  ];
  if (savings === null) return null;
  const share = spend === null ? null : percent(savings, spend);
  return share === null ? dollars(savings) : `${dollars(savings)} (${share} of the spend)`;
}

function endBlocks(data: MailData): Block[] {
  const end = data.day('ends_at');
  return end === null ? [] : [paragraph(`Observation ends on ${end}. ${STAYS}`)];
}
