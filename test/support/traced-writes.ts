// What a process and its children wrote and sent, from their system calls (strace).
import { readFileSync } from 'node:fs';

export const tracedCalls =
  'write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendmmsg,sendfile,splice,copy_file_range,clone,clone3,fork,vfork,execve,socket,connect,bind,listen';

export interface Write {
  /** The program that wrote: the last part of its path, with `listen` or `deliver` for processes of the agent. */
  readonly program: string;
  /** What was written to, as strace names the descriptor: a path, `socket:[N]`, `pipe:[N]`... */
  readonly to: string;
  readonly bytes: Buffer;
}

/** A call that creates, connects, binds or listens on a socket. */
export interface SocketCall {
  readonly program: string;
  readonly call: string;
  /** AF_INET, AF_INET6, AF_UNIX, AF_NETLINK...; empty for `listen`. */
  readonly family: string;
  /** ADDRESS:PORT, for the internet families; the path, for AF_UNIX. */
  readonly address?: string;
  /** The socket itself, as strace names the descriptor; not set for `socket`. */
  readonly descriptor?: string;
}

/** Reads the output of `strace -f -y -xx -s 10000000 -e trace=${tracedCalls}`. */
export function readTrace(path: string): { writes: Write[]; sockets: SocketCall[] } {
  const programs = new Map<string, string>();
  const writes: Write[] = [];
  const sockets: SocketCall[] = [];
  const plain = (hex: string) => Buffer.from(hex.replaceAll('\\x', ''), 'hex');
  for (const line of readFileSync(path, 'latin1').split('\n')) {
    const [, tid = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const strings = [...rest.matchAll(/"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g)].map(([, hex = '', cut]) => {
      if (cut) throw new Error(`a write was cut short in the trace: ${line.slice(0, 80)}`);
      return plain(hex);
    });
    if (rest.startsWith('execve(')) {
      const words = strings.map(String);
      const half = words.find((word) => word === 'listen' || word === 'deliver');
      programs.set(tid, `${words[0]?.split('/').at(-1)}${half ? ` ${half}` : ''}`);
    }
    const child = /^(?:clone3?|v?fork|<\.\.\. (?:clone3?|v?fork) resumed>).* = (\d+)$/.exec(rest)?.[1];
    if (child && !programs.has(child)) programs.set(child, programs.get(tid) ?? ''); // its own execve may come before the return of the fork
    const program = programs.get(tid) ?? '';
    const to = /^(?:p?write\w*|send\w+|splice|copy_file_range)\(\d+<([^>]*)>/.exec(rest)?.[1];
    if (to !== undefined) writes.push({ program, to: to.startsWith('\\x') ? plain(to).toString() : to, bytes: Buffer.concat(strings) });
    const call = /^(socket|connect|bind|listen)\(/.exec(rest)?.[1];
    if (call) {
      const port = /sin6?_port=htons\((\d+)\)/.exec(rest)?.[1];
      const family = /AF_[A-Z0-9]+/.exec(rest)?.[0] ?? '';
      const address = port === undefined ? (family === 'AF_UNIX' ? strings.at(-1)?.toString() : undefined) : `${strings.at(-1)?.toString()}:${port}`;
      const descriptor = /^\w+\(\d+<([^>]*)>/.exec(rest)?.[1];
      sockets.push({ program, call, family, ...(address === undefined ? {} : { address }), ...(descriptor === undefined ? {} : { descriptor }) });
    }
  }
  return { writes, sockets };
}
