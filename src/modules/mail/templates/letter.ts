import type { MailLink } from '../mail-links.js';

/** What a mail says, before it is text or markup: every value in it is plain text. */
export interface Letter {
  readonly subject: string;
  readonly blocks: readonly Block[];
}

export type Block =
  | { readonly kind: 'paragraph'; readonly text: string }
  | { readonly kind: 'figures'; readonly rows: readonly Figure[] }
  | { readonly kind: 'link'; readonly label: string; readonly link: MailLink };

export type Figure = readonly [label: string, value: string];

export interface ComposedMail {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** What stands under every mail. */
export interface Footer {
  readonly lines: readonly string[];
  readonly unsubscribe: MailLink | null;
}

const SUBJECT_LENGTH_MAX = 150;
const NAME_LENGTH_MAX = 80;
/** Where there is no name, or none that can be seen. */
export const UNNAMED = 'your organization';
/** Control and format characters, line and paragraph separators: what could begin a header or turn text around. */
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}\s]+/gu;

/** On one line, without anything invisible. */
export function oneLine(text: string): string {
  return text.replace(INVISIBLE, ' ').trim();
}

/**
 * A name that somebody chose, such as an organization's, quoted and cut. Without `://` and slashes: an invitation
 * goes to strangers, and their mail programs would make a link of it.
 */
export function quotedName(name: string): string {
  const plain = oneLine(name.replace(/[:/\\]+/g, ' ').replaceAll('"', "'"));
  if (plain === '') return UNNAMED;
  const letters = [...plain];
  const cut =
    letters.length > NAME_LENGTH_MAX ? `${letters.slice(0, NAME_LENGTH_MAX).join('')}…` : plain;
  return `"${cut}"`;
}

export const paragraph = (text: string): Block => ({ kind: 'paragraph', text });
export const figures = (rows: readonly Figure[]): Block => ({ kind: 'figures', rows });
export const linkBlock = (label: string, link: MailLink): Block => ({ kind: 'link', label, link });

/** The one place where a letter becomes text and markup, and so the one place that escapes. */
export function compose(letter: Letter, footer: Footer): ComposedMail {
  return {
    subject: [...oneLine(letter.subject)].slice(0, SUBJECT_LENGTH_MAX).join(''),
    text: textOf(letter, footer),
    html: htmlOf(letter, footer),
  };
}

const ELSEWHERE = 'Open this path at the address of your Shunt dashboard:';
const UNSUBSCRIBE = 'Stop these reminders';

function textOf({ blocks }: Letter, footer: Footer): string {
  const parts = blocks.map((block) => {
    switch (block.kind) {
      case 'paragraph':
        return oneLine(block.text);
      case 'figures':
        return block.rows
          .map(([label, value]) => `${oneLine(label)}: ${oneLine(value)}`)
          .join('\n');
      case 'link':
        return linkText(block.label, block.link);
    }
  });
  const end = footer.lines.map(oneLine);
  if (footer.unsubscribe) end.push(linkText(UNSUBSCRIBE, footer.unsubscribe));
  return `${[...parts, ['-- ', ...end].join('\n')].join('\n\n')}\n`;
}

function linkText(label: string, { url, path }: MailLink): string {
  return url === null ? `${label}. ${ELSEWHERE}\n${path}` : `${label}:\n${url}`;
}

/** No colors of its own, no pictures, nothing from elsewhere: readable in light and dark, and it tells nobody that it was read. */
function htmlOf({ subject, blocks }: Letter, footer: Footer): string {
  const parts = blocks.map((block) => {
    switch (block.kind) {
      case 'paragraph':
        return `<p>${escapeHtml(oneLine(block.text))}</p>`;
      case 'figures':
        return figuresHtml(block.rows);
      case 'link':
        return `<p>${linkHtml(block.label, block.link)}</p>`;
    }
  });
  const end = footer.lines.map((line) => escapeHtml(oneLine(line)));
  if (footer.unsubscribe) end.push(linkHtml(UNSUBSCRIBE, footer.unsubscribe));
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
    '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">',
    `<title>${escapeHtml(oneLine(subject))}</title></head>`,
    '<body style="font-family: sans-serif; line-height: 1.5; max-width: 36em; margin: 1em auto; padding: 0 1em">',
    ...parts,
    `<hr><p><small>${end.join('<br>')}</small></p>`,
    '</body></html>',
    '',
  ].join('\n');
}

function figuresHtml(rows: readonly Figure[]): string {
  const cells = rows.map(
    ([label, value]) =>
      `<tr><th scope="row" style="text-align: left; font-weight: normal; padding: 0.2em 1.5em 0.2em 0">` +
      `${escapeHtml(oneLine(label))}</th><td style="text-align: right">${escapeHtml(oneLine(value))}</td></tr>`,
  );
  return ['<table style="border-collapse: collapse">', ...cells, '</table>'].join('\n');
}

function linkHtml(label: string, { url, path }: MailLink): string {
  if (url !== null) return `<a href="${escapeHtml(url)}">${escapeHtml(label)}</a>`;
  return `${escapeHtml(`${label}. ${ELSEWHERE}`)}<br><code>${escapeHtml(path)}</code>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
