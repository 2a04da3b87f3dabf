import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

interface Piece {
  form: string;
  bytes: Buffer;
}
const pieceBytes = 96;

/** A piece from the middle, too long to occur by chance. For a repetitive sound it occurs in any remaining part. */
export function pieceOf(form: string, bytes: Buffer): Piece {
  const at = Math.floor(bytes.length / 8) * 4;
  return { form, bytes: Buffer.from(bytes.subarray(at, at + pieceBytes)) };
}

/** The forms of which a piece is in the writable memory of a process; the process is stopped during the search. */
export function formsInMemory(pid: number, pieces: readonly Piece[]): string[] {
  const found = new Set<string>();
  process.kill(pid, 'SIGSTOP');
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  for (const [, start = '', end = ''] of readFileSync(`/proc/${pid}/maps`, 'utf8').matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw/gm)) {
    const to = Number.parseInt(end, 16);
    for (let at = Number.parseInt(start, 16); at < to; at += 2 ** 24) {
      const block = Buffer.alloc(Math.min(2 ** 24 + pieceBytes, to - at));
      try {
        const length = readSync(memory, block, 0, block.length, at);
        for (const { form, bytes } of pieces) if (block.subarray(0, length).includes(bytes)) found.add(form);
      } catch {
        break; // reserved, but not mapped
      }
    }
  }
  closeSync(memory);
  process.kill(pid, 'SIGCONT');
  return [...found];
}
