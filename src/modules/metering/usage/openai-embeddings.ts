import type { UsageReport } from '../usage-report.js';
import { ReportedCounts, lastOf, modelOf, objectOf } from './reported-counts.js';

/** Embeddings of OpenAI and Groq: input only. */
export function readOpenaiEmbeddings(events: readonly unknown[]): UsageReport | null {
  const usage = lastOf(events, (event) => objectOf(event['usage']));
  if (usage === null) return null;
  const counts = new ReportedCounts();
  if (!('prompt_tokens' in usage)) counts.reject();
  return counts.report(
    { inputTokens: counts.count(usage['prompt_tokens']) },
    { answeringModel: lastOf(events, (event) => modelOf(event['model'])) },
  );
}
