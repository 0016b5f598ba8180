import type { MailLink } from '../mail-links.js';
import type { Letter } from './letter.js';
import type { MailData } from './mail-data.js';

/** What a template may speak of. */
export interface TemplateInput {
  readonly data: MailData;
  /** Its name in quotes, or `UNNAMED`. */
  readonly organization: string;
  /** Where the sealed token is handed in, for the kinds that carry one. */
  readonly tokenLink: MailLink | null;
  readonly expiresAtMs: number;
  /** Leads to a page of the dashboard. */
  link(path: string): MailLink;
}

export type Template = (input: TemplateInput) => Letter;
