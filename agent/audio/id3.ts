/** Where the sound goes on behind an ID3 tag at `at`, of either version; `at` itself where there is none. */
export function skipId3(bytes: Buffer, at = 0): number {
  const name = bytes.toString('latin1', at, at + 3);
  if (name === 'TAG' && at + 128 <= bytes.length) return at + 128;
  if (name !== 'ID3' || at + 10 > bytes.length) return at;
  return at + 10 + [6, 7, 8, 9].reduce((size, i) => size * 128 + ((bytes[at + i] as number) & 127), 0);
}
