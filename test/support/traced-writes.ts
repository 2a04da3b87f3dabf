// What a process and all it starts wrote and sent, from the system calls themselves (strace).
import { readFileSync } from 'node:fs';

export const tracedCalls = 'write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,sendfile,splice,copy_file_range,clone,clone3,fork,vfork,execve';

export interface Write {
  /** The program that wrote, by the last part of its path. */
  readonly program: string;
  /** What was written to, as strace names the descriptor: a path, `socket:[N]`, `pipe:[N]`... */
  readonly to: string;
  readonly bytes: Buffer;
}

/** Reads the output of `strace -f -y -xx -s 10000000 -e trace=${tracedCalls}`. */
export function readTrace(path: string): Write[] {
  const program = new Map<string, string>();
  const writes: Write[] = [];
  for (const line of readFileSync(path, 'latin1').split('\n')) {
    const [, tid = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const plain = (hex: string) => Buffer.from(hex.replaceAll('\\x', ''), 'hex');
    const strings = [...rest.matchAll(/"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g)].map(([, hex = '', cut]) => {
      if (cut) throw new Error(`a write was cut short in the trace: ${line.slice(0, 80)}`);
      return plain(hex);
    });
    if (rest.startsWith('execve(')) program.set(tid, strings[0]?.toString().split('/').at(-1) ?? '');
    const child = /^(?:clone3?|v?fork|<\.\.\. (?:clone3?|v?fork) resumed>).* = (\d+)$/.exec(rest)?.[1];
    if (child) program.set(child, program.get(tid) ?? '');
    const to = /^(?:p?write\w*|send\w+|splice|copy_file_range)\(\d+<([^>]*)>/.exec(rest)?.[1];
    if (to !== undefined) writes.push({ program: program.get(tid) ?? '', to: to.startsWith('\\x') ? plain(to).toString() : to, bytes: Buffer.concat(strings) });
  }
  return writes;
}
