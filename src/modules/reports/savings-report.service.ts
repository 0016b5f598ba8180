import type { Database } from '../../platform/postgres/database.js';
import type { Queryable } from '../../platform/postgres/queryable.js';
import type { ReportPeriod } from '../observation/report.js';
import { countCalls } from './call-counts.js';
import { sumLedger } from './ledger-sums.js';
import { measureSessions } from './measured-sessions.js';
import type { SavingsFigures, SavingsReport } from './savings-report.js';

export interface SavingsQuery {
  readonly period: ReportPeriod;
  readonly includeSynthetic: boolean;
}

/** What routing saved, twice: as the ledger's sum, and as the difference that the control group shows. */
export class SavingsReportService {
  constructor(private readonly database: Database) {}

  /** Made anew each time; nothing of it is stored. The period may be up to 400 days long. */
  async report(orgId: string, query: SavingsQuery): Promise<SavingsReport> {
    const figures = await this.database.tenantSnapshot(orgId, (q) =>
      savingsFigures(q, orgId, query),
    );
    return { period: query.period, figures };
  }
}

/** In a transaction that is scoped to the organization, of one snapshot: its parts speak of the same calls. */
export async function savingsFigures(
  q: Queryable,
  orgId: string,
  query: SavingsQuery,
): Promise<SavingsFigures> {
  const { period, includeSynthetic } = query;
  return {
    version: 1,
    ...(await sumLedger(q, orgId, query)),
    synthetic_included: includeSynthetic,
    calls: await countCalls(q, orgId, period, includeSynthetic),
    measured: await measureSessions(q, orgId, period, includeSynthetic),
  };
}
