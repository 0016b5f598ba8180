import { formatUsd } from '../domain/money/nano-usd.js';
import type { CallRecord } from '../modules/records/call-record.js';
import { timeOfRequestId } from '../modules/records/request-id-time.js';
import { RECENT_MAX } from '../modules/records/request-log.js';
import { CliError, text, wholeNumber } from './arguments.js';
import type { Command } from './command.js';
import { chosenOrganization, chosenProject } from './session.js';
import { shortTime, table } from './table.js';

const LIMIT_DEFAULT = 20;

const requests: Command = {
  name: 'requests',
  summary: 'List the newest calls: what was asked for, what served, what it cost',
  usage: [
    '--org <id or name>      the organization; not needed while there is only one',
    '--project <id or name>  calls of one project',
    `--limit <n>             how many, up to ${RECENT_MAX}; ${LIMIT_DEFAULT} by default`,
    '--before <request id>   those before this one: the last id of the page before',
  ],
  options: {
    org: { type: 'string' },
    project: { type: 'string' },
    limit: { type: 'string' },
    before: { type: 'string' },
  },
  async run(session, args) {
    const { id: orgId } = await chosenOrganization(session, args);
    const ofOne = text(args, 'project') !== undefined;
    const projectId = ofOne ? (await chosenProject(session, orgId, args)).id : null;
    const limit = wholeNumber(text(args, 'limit') ?? String(LIMIT_DEFAULT), 'limit', 1, RECENT_MAX);
    const before = text(args, 'before');
    if (before !== undefined && timeOfRequestId(before) === null)
      throw new CliError('--before takes the id of a request, as the column "id" shows it.', 2);
    const calls = await session.requestLog.recent(orgId, projectId, limit, before);
    const none = 'No call yet. A project key and a base URL are all it takes: see README.md.';
    return { json: calls, text: calls.length > 0 ? tableOf(calls) : none };
  },
};

function tableOf(calls: readonly CallRecord[]): string {
  const headings = ['time', 'id', 'provider', 'requested', 'served', 'decision', 'outcome', 'cost'];
  return table(
    headings,
    calls.map((call) => [
      shortTime(new Date(call.started_at_ms)),
      call.request_id,
      call.provider,
      call.requested_model ?? '-',
      call.served_model ?? '-',
      call.decision,
      call.status_code === null ? call.outcome : `${call.outcome} (${call.status_code})`,
      costOf(call),
    ]),
  );
}

/** What has no cost says why; it is not nothing. */
function costOf(call: CallRecord): string {
  const mark = call.synthetic ? ' (sandbox)' : '';
  if (call.cost_nano_usd !== null) return `$${formatUsd(BigInt(call.cost_nano_usd))}${mark}`;
  if (call.metering === 'unmetered') return `unmetered${mark}`;
  return `${call.pricing === 'unpriceable' ? 'unpriceable' : '-'}${mark}`;
}

export const requestCommands: readonly Command[] = [requests];
