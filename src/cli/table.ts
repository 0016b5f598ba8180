/** Columns as wide as their widest cell; numbers of rows are small, people read them. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings.map((heading) => heading.toUpperCase()), ...rows];
  const widths = headings.map((_, column) =>
    Math.max(...lines.map((line) => (line[column] ?? '').length)),
  );
  return lines
    .map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
    .map((line) => line.trimEnd())
    .join('\n');
}

/** Minutes are enough to recognise a time by; UTC, so that it is the same on every machine. */
export function shortTime(time: Date | null): string {
  return time === null ? '-' : `${time.toISOString().slice(0, 16).replace('T', ' ')}Z`;
}

export function listOrAny(values: readonly string[] | null): string {
  if (values === null) return 'any';
  return values.length === 0 ? 'none' : values.join(', ');
}
