// The only file that imports koffi. It binds only those functions of libc for which Node has none.
import { closeSync } from 'node:fs';
import koffi from 'koffi';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVTIMEO = 20;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const POLLOUT = 4;

type LibcFunction = (...values: unknown[]) => number;
const bound = new Map<string, LibcFunction>();
function libc(prototype: string): LibcFunction {
  const known = bound.get(prototype) ?? koffi.load(null).func(prototype);
  bound.set(prototype, known);
  return known;
}

/**
 * Creates two connected AF_UNIX stream sockets (socketpair(2)), as file descriptors; Node itself gives a child such a
 * socket as stdout. A read from the first waits at most `receiveTimeoutMs` and then fails with EAGAIN (socket(7),
 * SO_RCVTIMEO). At most `bytes` are buffered between the two, less if they are written in small pieces (SO_SNDBUF,
 * which the kernel doubles to include its own overhead). Throws if either cannot be set up.
 */
export function socketPair(receiveTimeoutMs: number, bytes: number): [number, number] {
  const pair = new Int32Array(2);
  // struct timeval
  const timeout = BigInt64Array.of(BigInt(Math.floor(receiveTimeoutMs / 1000)), BigInt((receiveTimeoutMs % 1000) * 1000));
  const size = Int32Array.of(bytes / 2);
  const made = libc('int socketpair(int domain, int type, int protocol, void *pair)')(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) === 0;
  const setsockopt = libc('int setsockopt(int fd, int level, int option, const void *value, uint32_t size)');
  const set = (socket: number, option: number, value: ArrayBufferView) => setsockopt(socket, SOL_SOCKET, option, value, value.byteLength) === 0;
  if (!made || !set(pair[0] as number, SO_RCVTIMEO, timeout) || !set(pair[1] as number, SO_SNDBUF, size)) {
    const failed = new Error(`no two connected sockets (errno ${koffi.errno()})`);
    if (made) pair.forEach((descriptor) => void closeSync(descriptor)); // it is tried again for as long as it fails
    throw failed;
  }
  return [pair[0] as number, pair[1] as number];
}

/**
 * Returns a function that sends datagrams to an AF_UNIX socket, named by its path, or by '@' and a name in the abstract
 * namespace (unix(7)). The function returns whether the datagram was sent; one that cannot be sent at once is dropped.
 */
export function datagramsTo(path: string): (message: string) => boolean {
  let descriptor = -1; // until the system gives one
  const socket = libc('int socket(int domain, int type, int protocol)');
  const sendto = libc('long sendto(int fd, const void *data, size_t length, int flags, const void *address, uint32_t size)');
  const name = Buffer.from(path.replace(/^@/, '\0'));
  const address = Buffer.alloc(2 + name.length + (path.startsWith('/') ? 1 : 0));
  address.writeUInt16LE(AF_UNIX, 0);
  name.copy(address, 2);
  return (message) => {
    if (descriptor < 0) descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const data = Buffer.from(message);
    return sendto(descriptor, data, data.length, MSG_DONTWAIT | MSG_NOSIGNAL, address, address.length) >= 0;
  };
}

/**
 * Whether a write to a descriptor would not wait (poll(2)): of some 4 kB to a pipe, and of more to a socket. Also false
 * where it cannot be written at all.
 */
export function isWritable(descriptor: number): boolean {
  const asked = Buffer.alloc(8); // struct pollfd
  asked.writeInt32LE(descriptor);
  asked.writeInt16LE(POLLOUT, 4);
  return libc('int poll(void *descriptors, unsigned long count, int timeoutMs)')(asked, 1, 0) > 0 && (asked.readInt16LE(6) & POLLOUT) !== 0;
}

/** Ends the process without waiting for its threads (_exit(2)). Nothing is closed or flushed. */
export function exitAtOnce(code: number): void {
  libc('void _exit(int status)')(code);
}

/**
 * The protocol of a socket as the kernel names it (`UNIX-STREAM`, `TCP`, `MPTCP`), by the path of its descriptor under
 * /proc. Empty for what is no socket.
 */
export function protocolOf(descriptor: string): string {
  const name = Buffer.alloc(32); // as long as the kernel's
  const length = libc('long getxattr(const char *path, const char *name, void *value, size_t size)')(descriptor, 'system.sockprotoname', name, name.length);
  return name.toString('latin1', 0, Math.max(0, length - 1));
}

/** Whether a file has an access control list beside its mode (acl(5)); also false if the list cannot be queried. */
export function hasAccessList(path: string): boolean {
  return libc('long getxattr(const char *path, const char *name, void *value, size_t size)')(path, 'system.posix_acl_access', null, 0) > 0;
}

const [E2BIG, ERANGE] = [7, 34];

/**
 * The extended attributes in which any program that may write a file can keep something beside it (`user.`, xattr(7));
 * none where they cannot be queried.
 */
export function userAttributes(path: string): string[] {
  const names = Buffer.alloc(65_536); // XATTR_LIST_MAX
  const length = libc('long llistxattr(const char *path, void *names, size_t size)')(path, names, names.length);
  if (length < 0) return [E2BIG, ERANGE].includes(koffi.errno()) ? ['user.*'] : [];
  return names
    .toString('utf8', 0, length)
    .split('\0')
    .filter((name) => name.startsWith('user.'));
}
