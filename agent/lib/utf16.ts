/** Error message and hint for a text file in UTF-16. */
export function utf16Refusal(path: string): [message: string, tryHint: string] {
  return [`Expected text in UTF-8 in ${path}, got UTF-16`, 'save it as UTF-8, or here: iconv -f utf-16 -t utf-8 FILE > NEW-FILE'];
}

/** Whether a text is UTF-16, as Windows may save it: it begins with a byte order mark, or with one zero byte of two. */
export function isUtf16(bytes: Uint8Array): boolean {
  const [first = 1, second = 1] = bytes;
  const mark = first * 256 + second;
  return mark === 0xfffe || mark === 0xfeff || (first === 0) !== (second === 0);
}

/** The text of a file in UTF-8, without the byte order mark that some editors write. Throws an Error for UTF-16. */
export function textOf(bytes: Uint8Array): string {
  if (isUtf16(bytes)) throw new Error('text in UTF-16, not in UTF-8');
  return new TextDecoder().decode(bytes);
}
