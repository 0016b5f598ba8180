import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { Actor } from '../../domain/subscription/actor.js';
import type { Clock } from '../../platform/clock.js';
import { Downloads } from '../../platform/http/downloads.js';
import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { AuditHeads } from '../audit/audit-heads.js';
import { auditWithin } from '../audit/audit-trail.js';

const PAGE = 1_000;
const FORMAT = 1;

/** What exports leave out: bookkeeping, between replicas and of the chains. */
const LEFT_OUT = new Set(['tenancy_changes', 'audit_heads', 'ledger_heads']);
/** Whose hashes are what a verification needs, and no secrets. */
const CHAINS = ['audit_log', 'savings_ledger', 'seals'];

interface Table {
  readonly name: string;
  /** Whose rows it holds is another column than `org_id` in one table alone. */
  readonly owner: 'id' | 'org_id';
  /** The rest of the primary key, which pages are read by, in its order. */
  readonly key: readonly string[];
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

/**
 * Everything that is kept about an organization, as lines of JSON: a first one that says what it is, one per row
 * (`{"table", "row"}`), and a last one with the counts, the SHA-256 of all lines before it, and the signed head of
 * the audit trail. Amounts and other numbers that JSON readers would round are strings. Secrets are left out: key
 * hashes and whatever is sealed; hashes of the trail and the ledger are in it, as hex, since their verification needs them.
 */
export class OrganizationExport {
  readonly #downloads: Downloads;

  constructor(
    private readonly database: Database,
    private readonly clock: Clock,
    private readonly heads: AuditHeads,
    stalledMsMax?: number,
  ) {
    this.#downloads = new Downloads(stalledMsMax);
  }

  /** Null while one of the organization, or as many as may be, are under way. Where it fails there is no last line. */
  async open(orgId: string, actor: Actor): Promise<Readable | null> {
    return this.#downloads.open(orgId, this.lines(orgId, actor));
  }

  /** Lines, each with its newline, in chunks of at most 1,000. The export is audited before its first line. */
  async *lines(orgId: string, actor: Actor): AsyncGenerator<string, void, void> {
    const digest = createHash('sha256');
    const atMs = this.clock.nowMs();
    const tables = await this.database.tenant(orgId, async (q) => {
      await auditWithin(q, orgId, { actor, action: 'organization.exported', atMs });
      return tablesOf(q);
    });
    const counts: Record<string, number> = {};
    const emit = (lines: readonly string[]): string => {
      const chunk = lines.map((line) => `${line}\n`).join('');
      digest.update(chunk);
      return chunk;
    };
    yield emit([
      JSON.stringify({
        export: 'shunt-organization',
        format: FORMAT,
        organization_id: orgId,
        at: new Date(atMs).toISOString(),
      }),
    ]);
    for (const table of tables) {
      counts[table.name] = 0;
      for await (const rows of this.#pages(orgId, table)) {
        counts[table.name]! += rows.length;
        yield emit(rows.map((row) => `{"table":${JSON.stringify(table.name)},"row":${row}}`));
      }
    }
    counts['users'] = 0;
    for await (const people of this.#people(orgId)) {
      counts['users'] += people.length;
      yield emit(people.map((row) => `{"table":"users","row":${row}}`));
    }
    const sha256 = digest.digest('hex');
    const head = await this.heads.signed(orgId);
    yield `${JSON.stringify({ end: true, rows: counts, sha256, audit_head: head, public_key: this.heads.publicKey })}\n`;
  }

  async *#pages(orgId: string, table: Table): AsyncGenerator<string[]> {
    const key = table.key.map(quoted).join(', ');
    const types = new Map(table.columns.map(({ name, type }) => [name, type]));
    let after: string[] | null = null;
    for (;;) {
      const bounds: string[] | null = after;
      // The owner apart from the key, and as a value: the planner takes a row's comparison for one of its first
      // column, and would sort everything that is left for each page.
      const from =
        bounds === null
          ? ''
          : `AND (${key}) > (${table.key.map((name, i) => `$${i + 2}::${types.get(name)}`).join(', ')})`;
      const page: { row: string; last: string[] }[] = await this.database.tenant(orgId, (q) =>
        q.query(
          `SELECT (SELECT to_jsonb(o) FROM (SELECT ${table.columns.map(exported).join(', ')}) AS o)::text AS row,
                  ARRAY[${table.key.map((name) => `${quoted(name)}::text`).join(', ')}]::text[] AS last
             FROM public.${quoted(table.name)} WHERE ${table.owner} = $1 ${from}
            ${key === '' ? '' : `ORDER BY ${key}`} LIMIT ${PAGE}`,
          [orgId, ...(bounds ?? [])],
        ),
      );
      if (page.length > 0) yield page.map(({ row }) => row);
      if (page.length < PAGE) return;
      after = page.at(-1)!.last;
    }
  }

  /** The organization's people: a user row is not the organization's alone, its address and role here are. */
  async *#people(orgId: string): AsyncGenerator<string[]> {
    let after: string | null = null;
    for (;;) {
      const from: string | null = after;
      const page: { row: string; id: string }[] = await this.database.tenant(orgId, (q) =>
        q.query(
          `SELECT u.id, jsonb_build_object('id', u.id, 'email', u.email, 'role', m.role)::text AS row
             FROM memberships m JOIN users u ON u.id = m.user_id
            WHERE m.org_id = $1 AND ($2::uuid IS NULL OR m.user_id > $2)
            ORDER BY m.user_id LIMIT ${PAGE}`,
          [orgId, from],
        ),
      );
      if (page.length > 0) yield page.map(({ row }) => row);
      if (page.length < PAGE) return;
      after = page.at(-1)!.id;
    }
  }
}

/** Every table of the organization that the runtime may read, and `organizations` itself. */
async function tablesOf(q: Queryable): Promise<Table[]> {
  const rows = await q.query<Table>(
    `
    SELECT c.relname::text AS name,
           CASE c.relname WHEN 'organizations' THEN 'id' ELSE 'org_id' END AS owner,
           (SELECT coalesce(array_agg(a.attname::text ORDER BY k.place)
                              FILTER (WHERE a.attname <> CASE c.relname WHEN 'organizations' THEN 'id' ELSE 'org_id' END),
                            '{}')
              FROM pg_index i, unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
              JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
             WHERE i.indrelid = c.oid AND i.indisprimary) AS key,
           (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, NULL))
                            ORDER BY a.attnum)
              FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               AND (a.atttypid <> 'bytea'::regtype OR c.relname = ANY ($1))) AS columns
      FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND (c.relname = 'organizations' OR EXISTS (
             SELECT FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attname = 'org_id' AND NOT a.attisdropped))
       AND has_table_privilege(c.oid, 'SELECT')
     ORDER BY c.relname <> 'organizations', c.relname`,
    [CHAINS],
  );
  return rows.filter(({ name }) => !LEFT_OUT.has(name));
}

/** A column in a form that loses nothing where JSON's readers would round. */
function exported({ name, type }: Table['columns'][number]): string {
  const column = quoted(name);
  switch (type) {
    case 'numeric':
    case 'bigint':
    case 'xid8':
      return `${column}::text AS ${column}`;
    case 'bytea':
      return `encode(${column}, 'hex') AS ${column}`;
    default:
      return column;
  }
}

function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}
