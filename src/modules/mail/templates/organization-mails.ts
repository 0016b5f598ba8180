import type { PlanLimitName } from '../../../domain/billing/plan-limits.js';
import { linkBlock, paragraph } from './letter.js';
import type { Template } from './template.js';

export const deletionRequested: Template = ({ data, organization, link }) => {
  const day = data.day('due_at');
  return {
    subject: `${organization} will be deleted`,
    blocks: [
      paragraph(
        `An owner asked for ${organization} to be deleted with everything in it` +
          `${day === null ? ', after a grace of 7 days' : `, on ${day} (UTC)`}.`,
      ),
      paragraph('Until then any owner can withdraw it. Afterwards nothing can be brought back.'),
      linkBlock('Export the data, or withdraw the deletion', link('/settings/organization')),
    ],
  };
};

/** By the names of domain/billing/plan-limits.ts. */
const LIMITS: Readonly<Record<PlanLimitName, string>> = {
  seats: 'its number of members',
  retention_days: 'the days that records are kept',
  requests_per_month: 'its number of calls for this month',
};

function isPlanLimit(name: string | null): name is PlanLimitName {
  return name !== null && Object.hasOwn(LIMITS, name);
}

export const planLimitReached: Template = ({ data, organization, link }) => {
  const name = data.text('limit');
  const what = isPlanLimit(name) ? LIMITS[name] : 'what it includes';
  const [used, most] = [data.count('used'), data.count('included')];
  const figures = used === null || most === null ? '' : `: ${used} of ${most}`;
  return {
    subject: `${organization} has reached a limit of its plan`,
    blocks: [
      paragraph(`The plan of ${organization} has reached ${what}${figures}.`),
      paragraph('No call is refused because of it. A larger plan can be chosen at any time.'),
      linkBlock('See the plan', link('/settings/billing')),
    ],
  };
};
