/*
 * LD_PRELOAD: each open of the file $TOCSIN_REFUSED, and each change of its mode, fails with EIO. With
 * TOCSIN_WITHOUT_LOCKS each lock of a part of a file fails with ENOLCK, as on a network disk without a lock service.
 * Of $TOCSIN_FORKS processes at most each may be the parent: for another there is no memory. With
 * TOCSIN_WITHOUT_SOCKET there is no descriptor for the first datagram socket.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuses(const char *path) {
  const char *refused = getenv("TOCSIN_REFUSED");
  if (!refused || strcmp(path, refused) != 0) return 0;
  errno = EIO;
  return 1;
}

#define OPENING(name) \
  int name(const char *path, int flags, ...) { \
    va_list rest; \
    va_start(rest, flags); \
    mode_t mode = va_arg(rest, mode_t); \
    va_end(rest); \
    if (refuses(path)) return -1; \
    return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name))(path, flags, mode); \
  }
OPENING(open)
OPENING(open64)

int chmod(const char *path, mode_t mode) {
  if (refuses(path)) return -1;
  return ((int (*)(const char *, mode_t))dlsym(RTLD_NEXT, "chmod"))(path, mode);
}

#define LOCKING(name) \
  int name(int fd, int command, ...) { \
    va_list rest; \
    va_start(rest, command); \
    void *given = va_arg(rest, void *); \
    va_end(rest); \
    if (getenv("TOCSIN_WITHOUT_LOCKS") && (command == F_SETLK || command == F_SETLKW || command == F_GETLK)) { \
      errno = ENOLCK; \
      return -1; \
    } \
    return ((int (*)(int, int, ...))dlsym(RTLD_NEXT, #name))(fd, command, given); \
  }
LOCKING(fcntl)
LOCKING(fcntl64)

pid_t fork(void) {
  static int forks;
  const char *most = getenv("TOCSIN_FORKS");
  if (most && forks++ >= atoi(most)) {
    errno = ENOMEM;
    return -1;
  }
  return ((pid_t(*)(void))dlsym(RTLD_NEXT, "fork"))();
}

int socket(int domain, int type, int protocol) {
  static int sockets;
  if (getenv("TOCSIN_WITHOUT_SOCKET") && (type & 15) == SOCK_DGRAM && sockets++ == 0) {
    errno = EMFILE;
    return -1;
  }
  return ((int (*)(int, int, int))dlsym(RTLD_NEXT, "socket"))(domain, type, protocol);
}
