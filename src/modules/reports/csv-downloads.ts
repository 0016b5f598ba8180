import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { stringify } from 'csv-stringify/sync';
import { spreadsheetText } from '../../domain/reports/csv-lines.js';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import { Downloads } from '../../platform/http/downloads.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import { auditWithin } from '../audit/audit-trail.js';
import {
  AUDIT_CSV,
  REQUESTS_CSV,
  auditPage,
  requestPage,
  type CsvShape,
  type DownloadQuery,
} from './csv-pages.js';

export type Download = 'requests' | 'audit';

interface Page {
  readonly rows: readonly (readonly (string | null)[])[];
  /** What the next page begins behind; null after the last one. */
  readonly after: readonly string[] | null;
}

type ReadPage = (
  q: Queryable,
  orgId: string,
  query: DownloadQuery,
  after: readonly string[] | null,
) => Promise<Page>;

const DOWNLOADS: Readonly<Record<Download, { readonly shape: CsvShape; readonly read: ReadPage }>> =
  {
    requests: { shape: REQUESTS_CSV, read: requestPage },
    audit: { shape: AUDIT_CSV, read: auditPage },
  };

/** Requests and the audit trail as CSV, in pages: what is not taken is not read, and whoever goes away ends it. */
export class CsvDownloads {
  readonly #downloads: Downloads;

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    stalledMsMax?: number,
  ) {
    this.#downloads = new Downloads(stalledMsMax);
  }

  /** Null while as many as may be are under way. Audited before its first line. */
  async open(
    orgId: string,
    download: Download,
    query: DownloadQuery,
    actor: Actor,
  ): Promise<Readable | null> {
    return this.#downloads.open(randomUUID(), this.lines(orgId, download, query, actor));
  }

  /** Chunks of CSV (RFC 4180, line feeds), each of a page at most. */
  async *lines(
    orgId: string,
    download: Download,
    query: DownloadQuery,
    actor: Actor,
  ): AsyncGenerator<string, void, void> {
    const { shape, read } = DOWNLOADS[download];
    await this.database.tenant(orgId, (q) =>
      auditWithin(q, orgId, {
        actor,
        action: download === 'audit' ? 'audit.exported' : 'requests.exported',
        atMs: this.clock.nowMs(),
        details: {
          from: new Date(query.fromMs).toISOString(),
          to: new Date(query.toMs).toISOString(),
        },
      }),
    );
    let chunk = stringify([[...shape.columns]]);
    let after: readonly string[] | null = null;
    for (;;) {
      const from: readonly string[] | null = after;
      const page: Page = await this.database.tenant(orgId, (q) => read(q, orgId, query, from));
      chunk += stringify(page.rows.map((row) => row.map((cell, at) => cellOf(shape, at, cell))));
      if (chunk !== '') yield chunk;
      chunk = '';
      if (page.after === null) return;
      after = page.after;
    }
  }
}

/** Numbers stay numbers, also negative ones; every other column is text. */
function cellOf({ columns, numbers }: CsvShape, at: number, cell: string | null): string {
  if (cell === null) return '';
  return numbers.has(columns[at] ?? '') ? cell : spreadsheetText(cell);
}
