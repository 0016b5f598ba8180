import { loadConfig } from '../config/app-config.js';
import { actorName } from '../domain/subscription/actor.js';
import { LocalKill } from '../modules/subscriptions/local-kill.js';
import { CliError, text, type Arguments } from './arguments.js';
import type { Command, Output } from './command.js';
import { chosenOrganization, commandActor, type Session } from './session.js';

const REASON_CHARS_MAX = 1_000;
const RELEASED = 'released at the command line';

const kill: Command = {
  name: 'kill',
  summary: 'Stop routing, for one organization, for all, or for this machine; calls pass through',
  usage: [
    '--org <id or name>  for one organization, held until it is released',
    '--all               for everybody: the global switch',
    '--local             for the processes of this data directory alone; works with everything else down',
    '--reason <text>     why; kept in the audit trail (not needed with --release)',
    '--release           takes it back; routing after --org is then up to the organization',
  ],
  options: {
    org: { type: 'string' },
    all: { type: 'boolean' },
    local: { type: 'boolean' },
    reason: { type: 'string' },
    release: { type: 'boolean' },
  },
  runAlone: (args) => (args.options['local'] === true ? killLocally(args) : null),
  async run(session, args) {
    const order = orderOf(args);
    return order.scope === 'all' ? setGlobal(session, order) : setHold(session, args, order);
  },
};

interface Order {
  readonly scope: 'org' | 'all' | 'local';
  readonly isRelease: boolean;
  /** Null where a release gives none. */
  readonly reason: string | null;
}

async function killLocally(args: Arguments): Promise<Output> {
  const { isRelease, reason } = orderOf(args);
  const local = new LocalKill(loadConfig().dataDir);
  const order = { by: actorName(commandActor()), reason: reason ?? RELEASED };
  const act = isRelease ? local.release(order) : local.engage(order);
  const said = isRelease
    ? 'The processes of this data directory may route again, as far as the statuses let them.'
    : 'The processes of this data directory stop routing within a second; calls pass through. Other machines need it too.';
  return {
    json: { scope: 'local', routing_stopped: !isRelease, ...act },
    text: `${said}\nThe audit trail learns of it once the database is there.`,
  };
}

function orderOf(args: Arguments): Order {
  const isRelease = args.options['release'] === true;
  const chosen = (['org', 'all', 'local'] as const).filter(
    (scope) => args.options[scope] !== undefined && args.options[scope] !== false,
  );
  const [scope] = chosen;
  if (scope === undefined || chosen.length > 1) {
    throw new CliError('Give one of --org <id or name>, --all and --local.', 2);
  }
  const reason = text(args, 'reason')?.trim() ?? '';
  if (reason.length > REASON_CHARS_MAX) {
    throw new CliError(`--reason has at most ${REASON_CHARS_MAX} characters.`, 2);
  }
  if (reason === '' && !isRelease) throw new CliError('--reason is missing: say why.', 2);
  return { scope, isRelease, reason: reason === '' ? null : reason };
}

async function setGlobal(session: Session, { isRelease, reason }: Order): Promise<Output> {
  const { changed, enabled, lastEntry } = await session.routingControl.setGlobal(
    isRelease,
    session.actor,
    reason ?? RELEASED,
  );
  const state = enabled ? 'on, where statuses and holds let it' : 'off for every organization';
  return {
    json: { scope: 'all', changed, enabled, audit_seq: lastEntry?.seq ?? null },
    text: changed ? `Routing is now ${state}.` : `Routing was ${state} already.`,
  };
}

async function setHold(
  session: Session,
  args: Arguments,
  { isRelease, reason }: Order,
): Promise<Output> {
  const organization = await chosenOrganization(session, args);
  const applied = await session.subscriptions.apply(organization.id, {
    event: isRelease ? 'release_hold' : 'kill',
    actor: session.actor,
    ...(reason === null ? {} : { reason }),
  });
  const scope = { scope: 'org', organization: organization.id };
  switch (applied.kind) {
    case 'not_found':
      throw new CliError('The organization is gone.');
    case 'refused':
      throw new CliError(`Refused (${applied.code}): it is "${applied.status}".`);
    case 'unchanged': {
      const { status, hold } = applied;
      return {
        json: { ...scope, changed: false, status, hold, audit_seq: null },
        text: `Nothing to change: "${organization.name}" is "${status}", ${heldOrNot(hold)}.`,
      };
    }
    case 'changed': {
      const { change, auditSeq } = applied;
      return {
        json: {
          ...scope,
          changed: true,
          status: change.to,
          hold: change.hold,
          audit_seq: auditSeq,
        },
        text: `"${organization.name}" is now "${change.to}", ${heldOrNot(change.hold)}.`,
      };
    }
  }
}

function heldOrNot(hold: boolean): string {
  return hold
    ? 'held: nobody activates routing until it is released'
    : 'not held: its owner may activate routing';
}

export const killCommands: readonly Command[] = [kill];
