import type { Clock } from '../../platform/clock.js';
import type { Signer } from '../../platform/crypto/signer.js';
import type { Database } from '../../platform/postgres/database.js';
import { InvoiceCheckService } from '../invoices/invoice-check.service.js';
import { InvoiceImportService } from '../invoices/invoice-import.service.js';
import { CsvDownloads } from './csv-downloads.js';
import { SavingsReportService } from './savings-report.service.js';
import { StatementService } from './statement.service.js';

export interface ReportsContext {
  readonly database: Database;
  readonly clock: Clock;
  readonly signer: Signer;
}

/** What routing saved, held against invoices, signed, and taken along; wired once. */
export function createReports({ database, clock, signer }: ReportsContext) {
  return {
    savingsReports: new SavingsReportService(database),
    statements: new StatementService(database, clock, signer),
    invoiceImports: new InvoiceImportService(database, clock),
    invoiceChecks: new InvoiceCheckService(database),
    csvDownloads: new CsvDownloads(database, clock),
  };
}
