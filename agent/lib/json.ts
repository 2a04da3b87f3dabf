/** Parses the JSON of a file. Drops a byte order mark, which some editors write. Throws a SyntaxError. */
export function parseJson(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(bytes));
}
