import type { ReplaySummary } from './tally.js';

/** The summary for a person. `spentUsd` is null where nothing was spent. */
export function summaryTable(summary: ReplaySummary, spentUsd: number | null): string {
  const rows: (readonly [string, string])[] = [
    ['calls', String(summary.calls)],
    ['succeeded', String(summary.succeeded)],
    ['failed', String(summary.failed)],
    ...Object.entries(summary.failures).map(
      ([reason, count]) => [`  ${reason}`, String(count)] as const,
    ),
    ['latency p50 / p99', pair(summary.latencyMs)],
    ['first byte p50 / p99', pair(summary.firstByteMs)],
    ['tokens in / out', `${summary.inputTokens} / ${summary.outputTokens}`],
    ['calls per second', `${summary.callsPerSecond} over ${summary.durationS} s`],
  ];
  if (summary.callsWithoutUsage > 0) {
    rows.push(['calls without usage', String(summary.callsWithoutUsage)]);
  }
  if (summary.startedLate > 0) {
    rows.push(['started late', `${summary.startedLate} (raise --concurrency, or lower --rate)`]);
  }
  if (spentUsd !== null) rows.push(['spent, at list prices', `${spentUsd.toFixed(4)} USD`]);
  if (summary.malformedLines > 0) rows.push(['lines skipped', String(summary.malformedLines)]);
  for (const { line, reason } of summary.malformed) rows.push([`  line ${line}`, reason]);
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}

function pair({ p50, p99 }: { p50: number | null; p99: number | null }): string {
  return p50 === null || p99 === null ? '-' : `${p50} ms / ${p99} ms`;
}
