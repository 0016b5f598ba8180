/** A line of more than this is no line of an export. */
const FIELDS_MAX = 200;
const FIELD_CHARS_MAX = 10_000;

export class UnreadableCsv extends Error {
  override readonly name = 'UnreadableCsv';

  constructor(
    readonly line: number,
    reason: string,
  ) {
    super(`line ${line}: ${reason}`);
  }
}

/** A row, and the line of the file on which it begins. */
export interface CsvRow {
  readonly line: number;
  readonly fields: readonly string[];
}

/**
 * Reads CSV (RFC 4180) in pieces of any size and holds one row at most. Lines end with LF or CRLF, a byte order mark
 * is skipped, empty lines are left out.
 */
export class CsvReader {
  #line = 1;
  #begins = 1;
  #fields: string[] = [];
  #field = '';
  #state: 'start' | 'plain' | 'quoted' | 'quote_in_quoted' = 'start';
  #atStart = true;
  #afterReturn = false;

  push(text: string): CsvRow[] {
    const rows: CsvRow[] = [];
    for (const char of text) {
      if (this.#atStart) {
        this.#atStart = false;
        if (char === '\u{feff}') continue;
      }
      this.#take(char, rows);
    }
    return rows;
  }

  end(): CsvRow[] {
    const rows: CsvRow[] = [];
    if (this.#state === 'quoted') throw new UnreadableCsv(this.#begins, 'a quote is not closed');
    if (this.#afterReturn) throw new UnreadableCsv(this.#line, 'a line ends with CR alone');
    this.#endRow(rows);
    return rows;
  }

  #take(char: string, rows: CsvRow[]): void {
    if (this.#afterReturn && char !== '\n') {
      throw new UnreadableCsv(this.#line, 'a line ends with CR alone');
    }
    if (char === '\n') this.#line += 1;
    if (this.#state === 'quoted') {
      if (char === '"') this.#state = 'quote_in_quoted';
      else this.#add(char);
      return;
    }
    if (char === ',') return this.#endField();
    if (char === '\r') {
      this.#afterReturn = true;
      return;
    }
    if (char === '\n') {
      this.#afterReturn = false;
      return this.#endRow(rows);
    }
    if (char === '"') return this.#quote();
    if (this.#state === 'quote_in_quoted') {
      throw new UnreadableCsv(this.#line, 'there is text behind a closing quote');
    }
    this.#state = 'plain';
    this.#add(char);
  }

  #quote(): void {
    if (this.#state === 'plain') {
      throw new UnreadableCsv(this.#line, 'there is a quote within an unquoted field');
    }
    if (this.#state === 'quote_in_quoted') this.#add('"');
    this.#state = 'quoted';
  }

  #add(char: string): void {
    if (this.#field.length >= FIELD_CHARS_MAX) {
      throw new UnreadableCsv(this.#begins, `a field has more than ${FIELD_CHARS_MAX} characters`);
    }
    this.#field += char;
  }

  #endField(): void {
    if (this.#fields.length >= FIELDS_MAX) {
      throw new UnreadableCsv(this.#begins, `there are more than ${FIELDS_MAX} columns`);
    }
    this.#fields.push(this.#field);
    this.#field = '';
    this.#state = 'start';
  }

  #endRow(rows: CsvRow[]): void {
    const isEmpty =
      this.#fields.length === 0 && this.#field === '' && this.#state !== 'quote_in_quoted';
    if (!isEmpty) {
      this.#endField();
      rows.push({ line: this.#begins, fields: this.#fields });
    }
    this.#fields = [];
    this.#state = 'start';
    this.#begins = this.#line;
  }
}

/**
 * A text as a cell of a spreadsheet: what would be read as a formula gets an apostrophe in front, and so does what
 * begins with one, so that a reader can take it away again. For columns of text alone: a negative number is a number.
 */
export function spreadsheetText(text: string): string {
  return /^[=+\-@\t\r']/.test(text) ? `'${text}` : text;
}
