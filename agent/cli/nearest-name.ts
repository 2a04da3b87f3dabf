/** The name that was likely meant: the nearest, where no more than two letters are wrong, missing, too many or out of their place. */
export function nearestName(written: string, names: readonly string[]): string | undefined {
  const [nearest] = names
    .map((name) => ({ name, wrong: lettersWrong(written.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, wrong }) => wrong <= 2 && wrong < name.length - 1)
    .toSorted((a, b) => a.wrong - b.wrong);
  return nearest?.name;
}

/** Optimal string alignment: the Levenshtein distance in which two letters that changed places count as one. */
function lettersWrong(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= a.length; i++) {
    rows.push([i]);
    for (let j = 1; j <= b.length; j++) {
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : Number.POSITIVE_INFINITY;
      rows[i]?.push(Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1), swapped));
    }
  }
  return at(a.length, b.length);
}
