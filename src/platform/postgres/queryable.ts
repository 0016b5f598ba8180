/** Anything that runs SQL: a pool, or the transaction that a unit of work was given. */
export interface Queryable {
  query<Row = Record<string, unknown>>(
    sql: string,
    parameters?: readonly unknown[],
  ): Promise<Row[]>;
}
