/** What `work` gives; undefined if it throws. For what may fail without being a fault, or is told elsewhere. */
export function ifPossible<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
