/*
 * LD_PRELOAD: while the file $TOCSIN_FAIL_AT contains "INODE FIRST LAST", a read of that file that touches the bytes
 * FIRST to LAST fails with EIO. So does a write of a part of them, for which the kernel first reads the block; with
 * "INODE FIRST LAST for-good" a write of all of them fails too, and with "INODE FIRST LAST 6" six reads fail. It
 * stands in for a card that can no longer read a block: everything else can be read and written, and the block only
 * after it was written as a whole, after a while, or never.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int fails(int fd, size_t length, off_t offset, int whole) {
  const char *control = getenv("TOCSIN_FAIL_AT");
  FILE *file = control ? fopen(control, "r") : NULL;
  unsigned long long inode;
  long long first, last;
  char for_good[16];
  struct stat at;
  if (!file) return 0;
  int told = fscanf(file, "%llu %lld %lld %15s", &inode, &first, &last, for_good);
  fclose(file);
  if (told < 3 || fstat(fd, &at) != 0 || at.st_ino != inode || offset > last || offset + (off_t)length <= first) return 0;
  if (told == 4 && atoi(for_good) > 0) {
    file = fopen(control, "w");
    if (atoi(for_good) > 1) fprintf(file, "%llu %lld %lld %d", inode, first, last, atoi(for_good) - 1);
    fclose(file);
    return 1;
  }
  return told == 4 || !whole || offset > first || offset + (off_t)length <= last || unlink(control) != 0;
}

#define FAILING(name, buffer, whole) \
  ssize_t name(int fd, buffer data, size_t length, off_t offset) { \
    static ssize_t (*real)(int, buffer, size_t, off_t); \
    if (!real) real = dlsym(RTLD_NEXT, #name); \
    if (!fails(fd, length, offset, whole)) return real(fd, data, length, offset); \
    errno = EIO; \
    return -1; \
  }
FAILING(pread, void *, 0)
FAILING(pread64, void *, 0)
FAILING(pwrite, const void *, 1)
FAILING(pwrite64, const void *, 1)
