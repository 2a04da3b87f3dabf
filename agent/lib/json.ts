import { isUtf16 } from './utf16.ts';

/** Parses the JSON of a file. Drops a byte order mark, which some editors write. Throws an Error for other text. */
export function parseJson(bytes: Uint8Array): unknown {
  if (isUtf16(bytes)) throw new Error('text in UTF-16, not in UTF-8');
  return JSON.parse(new TextDecoder().decode(bytes));
}
