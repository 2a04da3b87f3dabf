/** A word as a shell takes it, in quotes where it needs them: for commands that a person is told to type. */
export function shellWord(word: string): string {
  return /^[\w./@:=+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
