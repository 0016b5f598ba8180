import { createReadStream } from 'node:fs';
import { formatUsd } from '../domain/money/nano-usd.js';
import {
  CHECK_DAYS_MAX,
  type InvoiceCheck,
  type InvoiceComparison,
} from '../modules/invoices/invoice-check.service.js';
import type { InvoiceProvider } from '../modules/invoices/provider-export.js';
import { CliError, requiredText, text, type Arguments } from './arguments.js';
import type { Command } from './command.js';
import { PERIOD_OPTIONS, periodFrom, shortDay } from './report-period.js';
import { chosenOrganization } from './session.js';
import { table } from './table.js';

const ORG = '--org <id or name>              the organization; not needed while there is only one';
const PROVIDER = '--provider <openai|anthropic>   whose invoice';
const DAY_MS = 24 * 60 * 60 * 1000;

const importInvoice: Command = {
  name: 'invoices import',
  summary: "Read a provider's usage or cost export (CSV), to hold it against the calls",
  usage: [
    '<file>                          as it was downloaded',
    ORG,
    PROVIDER,
    '--own-key <name>                the key that calls go through, as the file names it: others are told apart',
  ],
  options: {
    org: { type: 'string' },
    provider: { type: 'string' },
    'own-key': { type: 'string' },
  },
  positionals: 1,
  async run(session, args) {
    const { id } = await chosenOrganization(session, args);
    const options = { provider: providerFrom(args), ownKey: text(args, 'own-key') ?? null };
    const file = createReadStream(args.positionals[0] ?? '');
    const imported = await session.invoiceImports
      .import(id, options, file, session.actor)
      .catch((error: NodeJS.ErrnoException) => {
        if (error.syscall === undefined) throw error;
        throw new CliError('The file cannot be read.');
      });
    switch (imported.kind) {
      case 'unreadable':
        throw new CliError(imported.message);
      case 'too_large':
        throw new CliError('The file is too large.');
      case 'too_many':
        throw new CliError('There are as many imports as there can be.');
      case 'known':
      case 'imported': {
        const { kind, from_day: from, to_day: to, file_rows: rows } = imported.import;
        const was = imported.kind === 'known' ? 'It was imported before' : 'Imported';
        const next = `npm run shunt -- invoices check --provider ${options.provider}`;
        return {
          json: imported.import,
          text: `${was}: ${rows} rows (${kind}), ${from} to ${to}.\nNext: ${next} --from ${from}`,
        };
      }
    }
  },
};

const check: Command = {
  name: 'invoices check',
  summary: 'Hold what a provider charged against what was recorded, by day and model',
  usage: [
    ORG,
    PROVIDER,
    '--from <day>                    such as 2026-11-01 (UTC); 30 days before the end by default',
    `--to <day>                      the end, not included; now by default. At most ${CHECK_DAYS_MAX} days`,
  ],
  options: { org: { type: 'string' }, provider: { type: 'string' }, ...PERIOD_OPTIONS },
  async run(session, args) {
    const { id } = await chosenOrganization(session, args);
    const { fromMs, toMs } = periodFrom(args);
    if (toMs - fromMs > (CHECK_DAYS_MAX - 1) * DAY_MS) {
      throw new CliError(`At most ${CHECK_DAYS_MAX} days can be checked at once.`, 2);
    }
    const query = {
      provider: providerFrom(args),
      fromDay: shortDay(fromMs),
      toDay: shortDay(toMs - 1),
    };
    const found = await session.invoiceChecks.check(id, query);
    return { json: found, text: told(found) };
  },
};

function providerFrom(args: Arguments): InvoiceProvider {
  const provider = requiredText(args, 'provider');
  if (provider === 'openai' || provider === 'anthropic') return provider;
  throw new CliError('--provider takes openai or anthropic.', 2);
}

function told({ cost, input_tokens: input, output_tokens: output }: InvoiceCheck): string {
  const parts = [cost, input, output].filter((part) => part !== null);
  if (parts.length === 0) {
    return 'No import covers any of these days: npm run shunt -- invoices import <file> --provider openai';
  }
  return parts.map(comparisonTold).join('\n\n');
}

function comparisonTold({ of, days_covered: days, sum, lines, explanation }: InvoiceComparison) {
  const amount = (value: string): string =>
    of === 'nano_usd' ? `$${formatUsd(BigInt(value))}` : value;
  const rows = [...lines, { day: 'in all', model: '', ...sum }].map((line) => [
    line.day,
    line.model,
    amount(line.invoiced),
    amount(line.logged),
    amount(line.residual),
    line.percent === null ? '-' : `${line.percent} %`,
  ]);
  const title = of === 'nano_usd' ? 'Dollars' : of.replace('_', ' ');
  return [
    `${title}, on ${days} days that an import covers:`,
    table(['day', 'model', 'invoiced', 'recorded', 'residual', ''], rows),
    `Of it: ${amount(explanation.invoice_only)} for models without any call here, ${amount(explanation.log_only)} for models that the invoice lacks,`,
    `${amount(explanation.remainder)} for models that both know. Beside it ${amount(explanation.other_key)} for other keys.`,
    `Calls without a cost of their own: ${explanation.unmetered_calls} unmetered, ${explanation.unpriceable_calls} unpriceable; ${explanation.estimated_calls} estimated.`,
  ].join('\n');
}

export const invoiceCommands: readonly Command[] = [importInvoice, check];
