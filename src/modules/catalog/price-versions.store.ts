import type { Queryable } from '../../platform/postgres/queryable.js';
import { catalogRows } from './catalog.js';
import type { Catalog } from './catalog.js';

/** Keeps what a version of the catalog said, for as long as rows name it. Idempotent: one statement. */
export async function snapshotCatalog(q: Queryable, catalog: Catalog): Promise<void> {
  await q.query(
    `INSERT INTO price_versions
       (version, provider, model, effective_from, above_prompt_tokens, prices, terms, source)
     SELECT $1, r.provider, r.model, r.effective_from, r.above_prompt_tokens, r.prices, r.terms, r.source
       FROM jsonb_to_recordset($2::jsonb) AS r(
              provider text, model text, effective_from timestamptz, above_prompt_tokens bigint,
              prices jsonb, terms jsonb, source text)
     ON CONFLICT DO NOTHING`,
    [catalog.version, JSON.stringify(catalogRows(catalog.models))],
  );
}
