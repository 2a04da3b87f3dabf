/*
 * LD_PRELOAD: writes every change of files below $TOCSIN_WATCH to $TOCSIN_TRACE, in order. Record: op byte, name
 * length (u16), name, offset (u64), length (u32), data. Ops: C create, W write, T truncate, S sync, U unlink, R rename
 * (data is the new name). Shared memory (mmap of -shm) is not recorded: it does not survive a crash.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FD 4096
static char *names[MAX_FD];
static const char *watch;
static size_t watch_length;
static int trace = -1;

__attribute__((constructor)) static void begin(void) {
  watch = getenv("TOCSIN_WATCH");
  const char *path = getenv("TOCSIN_TRACE");
  if (!watch || !path) return;
  watch_length = strlen(watch);
  trace = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* the path relative to the watched folder, "" for the folder itself, NULL for anything else */
static const char *inside(const char *path) {
  if (trace < 0 || !path || strncmp(path, watch, watch_length) != 0) return NULL;
  if (path[watch_length] == 0) return path + watch_length;
  return path[watch_length] == '/' ? path + watch_length + 1 : NULL;
}

static void record(char op, const char *name, uint64_t offset, const void *data, uint32_t length) {
  uint16_t size = (uint16_t)strlen(name);
  struct iovec parts[6] = {{&op, 1}, {&size, 2}, {(void *)name, size}, {&offset, 8}, {&length, 4}, {(void *)data, length}};
  if (syscall(SYS_writev, trace, parts, 6) < 0) abort();
}

static int opened(int fd, const char *path, int existed) {
  const char *name = inside(path);
  if (fd < 0 || fd >= MAX_FD || !name) return fd;
  free(names[fd]);
  names[fd] = strdup(name);
  if (!existed) record('C', name, 0, NULL, 0);
  return fd;
}

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, #name)
#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(int, name, const char *, int, ...); \
    va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \
    int existed = !inside(path) || syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0; \
    int fd = opened(real(path, flags, mode), path, existed); \
    if (fd >= 0 && existed && (flags & O_TRUNC) && inside(path)) record('T', inside(path), 0, NULL, 0); \
    return fd; \
  }
OPEN(open)
OPEN(open64)

#define WATCHED(fd) ((fd) >= 0 && (fd) < MAX_FD && names[fd])

int close(int fd) {
  REAL(int, close, int);
  if (WATCHED(fd)) { free(names[fd]); names[fd] = NULL; }
  return real(fd);
}
ssize_t write(int fd, const void *data, size_t length) {
  REAL(ssize_t, write, int, const void *, size_t);
  off_t offset = WATCHED(fd) ? lseek(fd, 0, SEEK_CUR) : 0;
  ssize_t done = real(fd, data, length);
  if (done > 0 && WATCHED(fd)) record('W', names[fd], (uint64_t)offset, data, (uint32_t)done);
  return done;
}
#define PWRITE(name) \
  ssize_t name(int fd, const void *data, size_t length, off_t offset) { \
    REAL(ssize_t, name, int, const void *, size_t, off_t); \
    ssize_t done = real(fd, data, length, offset); \
    if (done > 0 && WATCHED(fd)) record('W', names[fd], (uint64_t)offset, data, (uint32_t)done); \
    return done; \
  }
PWRITE(pwrite)
PWRITE(pwrite64)
#define TRUNCATE(name) \
  int name(int fd, off_t length) { \
    REAL(int, name, int, off_t); \
    int result = real(fd, length); \
    if (result == 0 && WATCHED(fd)) record('T', names[fd], (uint64_t)length, NULL, 0); \
    return result; \
  }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)
#define SYNC(name) \
  int name(int fd) { \
    REAL(int, name, int); \
    int result = real(fd); \
    if (result == 0 && WATCHED(fd)) record('S', names[fd], 0, NULL, 0); \
    return result; \
  }
SYNC(fsync)
SYNC(fdatasync)
int unlink(const char *path) {
  REAL(int, unlink, const char *);
  int result = real(path);
  if (result == 0 && inside(path)) record('U', inside(path), 0, NULL, 0);
  return result;
}
int rename(const char *from, const char *to) {
  REAL(int, rename, const char *, const char *);
  int result = real(from, to);
  if (result == 0 && inside(from) && inside(to)) record('R', inside(from), 0, inside(to), (uint32_t)strlen(inside(to)));
  return result;
}
