import { userInfo } from 'node:os';
import { loadConfig } from '../config/app-config.js';
import type { Actor } from '../domain/subscription/actor.js';
import { RekeyService } from '../modules/bootstrap/rekey.service.js';
import type { Organization } from '../modules/organizations/organization.js';
import type { Project } from '../modules/projects/project.js';
import { systemClock } from '../platform/clock.js';
import { SecretBox } from '../platform/crypto/secret-box.js';
import { openDatabase } from '../platform/postgres/open-database.js';
import { createLogger } from '../platform/telemetry/logger.js';
import { createServices, type Services } from '../services.js';
import { CliError, text, type Arguments } from './arguments.js';

type CommandActor = Extract<Actor, { kind: 'command' }>;

/** What commands work with; open while one runs. */
export type Session = Services & {
  readonly rekey: RekeyService;
  /** Whom the audit trail names for what a command changes. */
  readonly actor: CommandActor;
  readonly hasPreviousKey: boolean;
  close(): Promise<void>;
};

/** With the environment of the server: its database, or the embedded one, running or started for the moment. */
export async function openSession(): Promise<Session> {
  const config = loadConfig();
  // Standard output is the command's answer.
  const logger = createLogger('warn', process.stderr);
  const { database, close } = await openDatabase(config, logger);
  const secretBox = new SecretBox(config.encryptionKeys);
  return {
    ...createServices({ config, database, secretBox, clock: systemClock, logger }),
    rekey: new RekeyService(database, secretBox, systemClock),
    actor: commandActor(),
    hasPreviousKey: config.encryptionKeys.previous !== null,
    close,
  };
}

/** The user of the operating system that runs the command. */
export function commandActor(): CommandActor {
  return { kind: 'command', name: userName() };
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run under a number that has no name.
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}

/** `--org` by id or name; not needed while there is only one. */
export async function chosenOrganization(session: Session, args: Arguments): Promise<Organization> {
  const all = await session.organizations.list();
  if (all.length === 0) {
    throw new CliError(
      'There is no organization yet. Start Shunt once (npm start), or: npm run shunt -- orgs create --name "Acme"',
    );
  }
  return choose('org', 'organization', 'orgs list', all, text(args, 'org'));
}

/** `--project` by id or name; not needed while the organization has only one. */
export async function chosenProject(
  session: Session,
  orgId: string,
  args: Arguments,
): Promise<Project> {
  const all = await session.projects.list(orgId);
  if (all.length === 0) {
    throw new CliError(
      `The organization has no project yet: npm run shunt -- projects create --org ${orgId} --name "My app"`,
    );
  }
  return choose('project', 'project', `projects list --org ${orgId}`, all, text(args, 'project'));
}

function choose<T extends { readonly id: string; readonly name: string }>(
  option: string,
  what: string,
  listing: string,
  all: readonly T[],
  wanted: string | undefined,
): T {
  const found =
    wanted === undefined ? all : all.filter(({ id, name }) => id === wanted || name === wanted);
  const [first] = found;
  if (found.length === 1 && first) return first;
  const problem =
    wanted === undefined
      ? `There is more than one ${what}: choose with --${option} <id or name>.`
      : found.length === 0
        ? `No ${what} has the id or name "${wanted}".`
        : `${found.length} of them are called "${wanted}": give the id.`;
  throw new CliError(`${problem} They are listed by: npm run shunt -- ${listing}`);
}
