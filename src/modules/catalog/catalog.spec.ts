import { describe, expect, it } from 'vitest';
import { PROVIDERS } from '../../domain/routing/provider.js';
import { buildCatalog, catalogRows } from './catalog.js';
import { MODEL_FACTS } from './overlay/model-facts.js';
import { PriceBook } from './price-book.js';
import { snapshotCatalog } from './price-versions.store.js';

const CATALOG = buildCatalog();
const ROWS = catalogRows(CATALOG.models);

describe('the catalog', () => {
  it('holds integers only, as decimal strings, each row with its source', () => {
    expect(ROWS.length).toBeGreaterThan(150);
    for (const row of ROWS) {
      for (const price of Object.values(row.prices)) expect(price).toMatch(/^\d+$/);
      expect(row.source).not.toBe('');
    }
  });

  it('has no price that is a rounding accident of a float', () => {
    // Published prices are whole micro-dollars a million; anything finer came out of binary fractions.
    for (const row of ROWS) {
      for (const price of Object.values(row.prices)) expect(BigInt(price) % 1000n).toBe(0n);
    }
  });

  it('has one row for every version, model, date and tier', () => {
    const keys = ROWS.map((row) =>
      [row.provider, row.model, row.effective_from, row.above_prompt_tokens].join(' '),
    );
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('prices the same dimensions in a tier as below it', () => {
    const base = new Map<string, string>();
    for (const row of ROWS) {
      const key = [row.provider, row.model, row.effective_from].join(' ');
      const dimensions = Object.keys(row.prices).join();
      if (row.above_prompt_tokens === 0) base.set(key, dimensions);
      else expect(dimensions, key).toBe(base.get(key));
    }
  });

  it('has one edge for long prompts of OpenAI', () => {
    const edges = ROWS.filter((row) => row.provider === 'openai').map(
      (row) => row.above_prompt_tokens,
    );
    expect([...new Set(edges)].toSorted((a, b) => a - b)).toEqual([0, 272_000]);
  });
});

describe('snapshotCatalog', () => {
  it('inserts the whole version in one statement that a repetition does not change', async () => {
    const calls: { sql: string; parameters: readonly unknown[] }[] = [];
    await snapshotCatalog(
      {
        query: (sql, parameters = []) => {
          calls.push({ sql, parameters });
          return Promise.resolve([]);
        },
      },
      CATALOG,
    );
    expect(calls).toHaveLength(1);
    expect(calls[0]?.sql).toContain('ON CONFLICT DO NOTHING');
    expect(calls[0]?.parameters[0]).toBe(CATALOG.version);
    expect(JSON.parse(String(calls[0]?.parameters[1]))).toHaveLength(ROWS.length);
  });

  it('knows every model of which facts are stated', () => {
    const book = new PriceBook(CATALOG);
    for (const provider of PROVIDERS) {
      for (const model of Object.keys(MODEL_FACTS[provider])) {
        expect(book.canonicalModel(provider, model), `${provider} ${model}`).toBe(model);
      }
    }
  });
});
