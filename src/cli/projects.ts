import { PROVIDERS, type Provider } from '../domain/routing/provider.js';
import type { SavedProject } from '../modules/projects/project.service.js';
import type { Project, ProjectChanges } from '../modules/projects/project.js';
import { CliError, requiredText, text, wholeNumber, type Arguments } from './arguments.js';
import type { Command } from './command.js';
import { chosenOrganization, chosenProject } from './session.js';
import { listOrAny, table } from './table.js';

const BODY_LIMIT_BYTES_MAX = 2 ** 31 - 1;
const ORG = '--org <id or name>          the organization; not needed while there is only one';

const SETTING_OPTIONS = {
  org: { type: 'string' },
  name: { type: 'string' },
  strict: { type: 'string' },
  'default-model': { type: 'string' },
  'body-limit-bytes': { type: 'string' },
  'allow-providers': { type: 'string' },
  'allow-models': { type: 'string' },
  'allow-paths': { type: 'string' },
} as const;

const SETTING_USAGE = [
  '--strict on|off             on: calls are never touched, not even to ask for usage',
  '--default-model <model>     what shunt/auto is compared with; "none" takes it away',
  '--body-limit-bytes <n>      largest request body; "default" takes it away',
  '--allow-providers <a,b>     only these providers; "any" lifts the list',
  '--allow-models <a,b>        only these models, or prefixes such as gpt-4*; "any" lifts the list',
  '--allow-paths <a,b>         relay these paths too, such as openai:/files*; "none" for no more',
];

const list: Command = {
  name: 'projects list',
  summary: 'List the projects of an organization',
  usage: [ORG],
  options: { org: { type: 'string' } },
  async run(session, args) {
    const organization = await chosenOrganization(session, args);
    const projects = await session.projects.list(organization.id);
    const none = `No project yet: npm run shunt -- projects create --org ${organization.id} --name "My app"`;
    return { json: projects, text: projects.length > 0 ? tableOf(projects) : none };
  },
};

const create: Command = {
  name: 'projects create',
  summary: 'Create a project',
  usage: [ORG, '--name <name>               its name', ...SETTING_USAGE],
  options: SETTING_OPTIONS,
  async run(session, args) {
    const organization = await chosenOrganization(session, args);
    const name = requiredText(args, 'name');
    const fields = { ...changesFrom(args), name };
    const project = projectOf(
      await session.projects.create(organization.id, fields, session.actor),
    );
    const next = `Next: npm run shunt -- keys create --org ${organization.id} --project ${project.id} --name "Production"`;
    return { json: project, text: `Created project "${name}" (${project.id}).\n${next}` };
  },
};

const update: Command = {
  name: 'projects update',
  summary: 'Change a project: disable it, limit what it may use',
  usage: [
    ORG,
    '--project <id or name>      the project; not needed while there is only one',
    '--name <name>               a new name',
    '--disable | --enable        refuse its calls from now on, or take them again',
    ...SETTING_USAGE,
  ],
  options: {
    ...SETTING_OPTIONS,
    project: { type: 'string' },
    disable: { type: 'boolean' },
    enable: { type: 'boolean' },
  },
  async run(session, args) {
    const organization = await chosenOrganization(session, args);
    const { id } = await chosenProject(session, organization.id, args);
    const changes = changesFrom(args);
    if (Object.keys(changes).length === 0) {
      throw new CliError('Nothing to change: say what, as "projects update --help" shows.', 2);
    }
    const project = projectOf(
      await session.projects.update(organization.id, id, changes, session.actor),
    );
    const applied = 'Every replica applies this within a second.';
    return { json: project, text: `${tableOf([project])}\n${applied}` };
  },
};

function changesFrom(args: Arguments): ProjectChanges {
  const limit = text(args, 'body-limit-bytes');
  const model = text(args, 'default-model');
  const changes: ProjectChanges = {
    name: text(args, 'name'),
    disabled: disabledFrom(args),
    strict: onOff(args, 'strict'),
    defaultModel: model === 'none' ? null : model,
    bodyLimitBytes:
      limit === 'default' || limit === undefined
        ? limit && null
        : wholeNumber(limit, 'body-limit-bytes', 1, BODY_LIMIT_BYTES_MAX),
    allowedProviders: providersFrom(listFrom(args, 'allow-providers')),
    allowedModels: listFrom(args, 'allow-models'),
    allowedPaths: listFrom(args, 'allow-paths') ?? undefined,
  };
  return Object.fromEntries(
    Object.entries(changes).filter(([, value]) => value !== undefined),
  ) as ProjectChanges;
}

function disabledFrom(args: Arguments): boolean | undefined {
  if (args.options['disable'] && args.options['enable']) {
    throw new CliError('--disable and --enable exclude each other.', 2);
  }
  if (args.options['disable']) return true;
  return args.options['enable'] ? false : undefined;
}

function onOff(args: Arguments, name: string): boolean | undefined {
  const value = text(args, name);
  if (value === undefined) return undefined;
  if (value === 'on' || value === 'off') return value === 'on';
  throw new CliError(`--${name} takes "on" or "off".`, 2);
}

/** `any` lifts the list (null), `none` empties it. */
function listFrom(args: Arguments, name: string): string[] | null | undefined {
  const value = text(args, name);
  if (value === undefined) return undefined;
  if (value === 'any') return null;
  if (value === 'none') return [];
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function providersFrom(names: string[] | null | undefined): Provider[] | null | undefined {
  const wrong = names?.find((name) => !PROVIDERS.includes(name as Provider));
  if (wrong === undefined) return names as Provider[] | null | undefined;
  throw new CliError(`"${wrong}" is not a provider: ${PROVIDERS.join(', ')}.`, 2);
}

function projectOf(result: SavedProject): Project {
  switch (result.kind) {
    case 'saved':
      return result.project;
    case 'name_taken':
      throw new CliError('The organization has a project of that name already: choose another.');
    case 'too_many':
      throw new CliError('The organization has as many projects as it may have.');
    case 'not_found':
      throw new CliError('The project is no longer there.');
  }
}

function tableOf(projects: readonly Project[]): string {
  const headings = ['id', 'name', 'state', 'strict', 'providers', 'models', 'extra paths'];
  const rows = projects.map((project) => [
    project.id,
    project.name,
    project.disabled ? 'DISABLED' : 'enabled',
    project.strict ? 'on' : 'off',
    listOrAny(project.allowedProviders),
    listOrAny(project.allowedModels),
    listOrAny(project.allowedPaths),
  ]);
  return table(headings, rows);
}

export const projectCommands: readonly Command[] = [list, create, update];
