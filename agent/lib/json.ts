import { textOf } from './utf16.ts';

/** Parses the JSON of a file. Drops a byte order mark, which some editors write. Throws an Error for other text. */
export function parseJson(bytes: Uint8Array): unknown {
  return JSON.parse(textOf(bytes));
}
