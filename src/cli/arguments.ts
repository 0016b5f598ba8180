/** The values of a command's options, and the words that stand by themselves. */
export interface Arguments {
  readonly options: Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
  readonly positionals: readonly string[];
}

/** What the person at the keyboard can mend; the message says how. */
export class CliError extends Error {
  override readonly name = 'CliError';

  constructor(
    message: string,
    /** 1: it did not work, 2: it was not understood. */
    readonly exitCode: 1 | 2 = 1,
  ) {
    super(message);
  }
}

export function text(args: Arguments, name: string): string | undefined {
  const value = args.options[name];
  return typeof value === 'string' ? value : undefined;
}

/** Of an option that may be given more than once. */
export function texts(args: Arguments, name: string): readonly string[] {
  const value = args.options[name];
  return Array.isArray(value) ? (value as readonly string[]) : [];
}

export function requiredText(args: Arguments, name: string): string {
  const value = text(args, name)?.trim();
  if (value) return value;
  throw new CliError(`--${name} is missing.`, 2);
}

/** A whole number within bounds. */
export function wholeNumber(value: string, name: string, min: number, max: number): number {
  const number = Number(value);
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  throw new CliError(`--${name} takes a whole number from ${min} to ${max}.`, 2);
}
