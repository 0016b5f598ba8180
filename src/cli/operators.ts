import { OPERATOR_NAME_FORM, type OperatorCredentials } from '../modules/operators/operator.js';
import { CliError } from './arguments.js';
import type { Command, Output } from './command.js';
import { shortTime, table } from './table.js';

const NAME = ['<name>  lower-case; the audit trail keeps it'];

const list: Command = {
  name: 'operators list',
  summary: 'List who may use the admin panel',
  usage: [],
  options: {},
  async run(session) {
    const all = await session.operators.list();
    const json = all.map(({ name, createdAt, disabledAt }) => ({
      name,
      created_at: createdAt,
      disabled_at: disabledAt,
    }));
    const rows = all.map((one) => [one.name, shortTime(one.createdAt), shortTime(one.disabledAt)]);
    return { json, text: table(['name', 'created', 'disabled'], rows) };
  },
};

const add: Command = {
  name: 'operators add',
  summary: 'Add an operator; the credentials are shown once',
  usage: NAME,
  options: {},
  positionals: 1,
  async run(session, { positionals: [name = ''] }) {
    const created = await session.operators.create(name, session.actor);
    switch (created.kind) {
      case 'unusable_name':
        throw new CliError(OPERATOR_NAME_FORM, 2);
      case 'name_taken':
        throw new CliError(`There is, or was, an operator "${name}": choose another name.`);
      case 'too_many':
        throw new CliError('There are too many operators: disable one first.');
      case 'created':
        return shown(`Added operator "${name}".`, created.credentials);
    }
  },
};

const disable: Command = {
  name: 'operators disable',
  summary: 'Disable an operator for good; every session of theirs ends at once',
  usage: NAME,
  options: {},
  positionals: 1,
  async run(session, { positionals: [name = ''] }) {
    const disabled = await session.operators.disable(name, session.actor);
    switch (disabled.kind) {
      case 'unknown':
        throw unknownOperator();
      case 'last_one':
        throw new CliError('This is the last enabled operator: add another one first.');
      case 'unchanged':
        return { json: { name, changed: false }, text: `"${name}" was disabled already.` };
      case 'disabled':
        return { json: { name, changed: true }, text: `Disabled operator "${name}".` };
    }
  },
};

const rotate: Command = {
  name: 'operators rotate',
  summary: 'Give an operator new credentials, shown once; every session of theirs ends at once',
  usage: NAME,
  options: {},
  positionals: 1,
  async run(session, { positionals: [name = ''] }) {
    const rotated = await session.operators.rotate(name, session.actor);
    if (rotated.kind === 'unknown') throw unknownOperator();
    return shown(`Operator "${name}" has new credentials.`, rotated.credentials);
  },
};

function unknownOperator(): CliError {
  return new CliError(
    'There is no enabled operator of that name. They are listed by: npm run shunt -- operators list',
  );
}

function shown(said: string, { name, secret, totpSecret, totpUri }: OperatorCredentials): Output {
  return {
    json: { name, secret, totp_secret: totpSecret, totp_uri: totpUri },
    text: [
      said,
      'Shown only now:',
      `  secret       ${secret}`,
      `  TOTP secret  ${totpSecret}`,
      `  for an app   ${totpUri}`,
    ].join('\n'),
  };
}

export const operatorCommands: readonly Command[] = [list, add, disable, rotate];
