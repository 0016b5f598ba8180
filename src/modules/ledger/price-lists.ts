import type { Queryable } from '../../platform/postgres/queryable.js';
import type { Catalog } from '../catalog/catalog.js';
import { PriceBook } from '../catalog/price-book.js';
import { storedCatalog } from '../catalog/stored-catalog.js';

/** Kept at once; entries that follow each other name the same ones. */
const LISTS_MAX = 16;

/** The price lists that entries name, each as it was. */
export class PriceLists {
  /** The one of this release. */
  readonly newest: PriceBook;
  readonly #lists = new Map<string, PriceBook | null>();

  constructor(private readonly current: Catalog) {
    this.newest = new PriceBook(current);
  }

  /** Reads those that are not here yet; `of` knows them from then on, until the next time. */
  async load(q: Queryable, versions: ReadonlySet<string>): Promise<void> {
    if (this.#lists.size > LISTS_MAX) this.#lists.clear();
    for (const version of versions) {
      if (version === this.newest.version || this.#lists.has(version)) continue;
      const catalog = await storedCatalog(q, version, this.current);
      this.#lists.set(version, catalog === null ? null : new PriceBook(catalog));
    }
  }

  /** Null for one that was not kept. */
  of(version: string): PriceBook | null {
    return version === this.newest.version ? this.newest : (this.#lists.get(version) ?? null);
  }
}
