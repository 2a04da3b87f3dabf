// Starts a program restricted as the units restrict it, for tests on machines without systemd: the same namespaces,
// limits, users and privileges, set with the same system calls. It cannot show that systemd sets them; a container
// with systemd does.
//
//   sandbox [OPTION VALUE ...] -- PROGRAM [ARGUMENT ...]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

static void must(int result, const char *what) {
  if (result >= 0) return;
  fprintf(stderr, "sandbox: %s: %s\n", what, strerror(errno));
  exit(99);
}

static void read_only(const char *path, int on, unsigned flags) {
  struct mount_attr attr = {0};
  if (on) attr.attr_set = MOUNT_ATTR_RDONLY;
  else attr.attr_clr = MOUNT_ATTR_RDONLY;
  must(syscall(SYS_mount_setattr, AT_FDCWD, path, flags, &attr, sizeof attr), path);
}

static void node(const char *path, int major, int minor) {
  must(mknod(path, S_IFCHR, makedev(major, minor)), path);
  must(chmod(path, 0666), path);
}

/** `none`, `sound`, or `sound,kmsg`: also with the kernel log, which others may read but not write. */
static void devices(const char *which) {
  must(mount("dev", "/dev", "tmpfs", MS_NOSUID, "mode=755"), "/dev");
  node("/dev/null", 1, 3), node("/dev/zero", 1, 5), node("/dev/full", 1, 7), node("/dev/random", 1, 8), node("/dev/urandom", 1, 9);
  if (!strcmp(which, "none")) return;
  must(mkdir("/dev/snd", 0755), "/dev/snd");
  node("/dev/snd/pcmC0D0c", 116, 24);
  if (strcmp(which, "sound,kmsg")) return;
  node("/dev/kmsg", 1, 11);
  must(chmod("/dev/kmsg", 0644), "/dev/kmsg");
}

static int internet_socket(const char *address, int type, int listening) {
  char host[64];
  snprintf(host, sizeof host, "%s", address);
  char *colon = strrchr(host, ':');
  *colon = 0;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
  inet_pton(AF_INET, host, &to.sin_addr);
  int fd = socket(AF_INET, type, 0);
  must(fd, "socket");
  if (listening) must(bind(fd, (void *)&to, sizeof to), "bind"), must(listen(fd, 1), "listen");
  else must(connect(fd, (void *)&to, sizeof to), "connect");
  return fd;
}

/** A local socket without a path; its name begins with an @. systemd hands a DGRAM one over for a socket unit. */
static int named(const char *name, int type) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  memcpy(to.sun_path + 1, name + 1, strlen(name) - 1);
  int fd = socket(AF_UNIX, type, 0);
  must(fd, "socket");
  must(bind(fd, (void *)&to, offsetof(struct sockaddr_un, sun_path) + strlen(name)), "bind");
  return fd;
}

/** Leaves a socket behind in another network namespace. */
static void left(const char *network) {
  int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), other = open(network, O_RDONLY | O_CLOEXEC);
  must(setns(other, CLONE_NEWNET), network);
  must(listen(named("@left", SOCK_STREAM), 1), "listen");
  must(setns(home, CLONE_NEWNET), "home");
}

/** Denies ptrace, and io_uring like the units. */
static void filter(void) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_register, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
}

/** Called before the file systems, including /proc, become read-only. */
static void no_core(rlim_t bytes) {
  struct rlimit limit = {bytes, bytes};
  must(setrlimit(RLIMIT_CORE, &limit), "core");
  int fd = open("/proc/self/coredump_filter", O_WRONLY);
  must(fd, "coredump_filter");
  must(write(fd, "0\n", 2), "coredump_filter");
  close(fd);
}

int main(int argc, char **argv) {
  const char *keep = NULL, *child = NULL;
  int uid = 0, gid = 0, audio = -1, core = -1, bounded = 0, filtered = 0, no_new = 0, i = 1;
  umask(0);
  // opened through a mount of the machine: a mount with a file open for writing could not become read-only below
  for (int j = 1; j + 1 < argc && strcmp(argv[j], "--") != 0; j += 2)
    if (!strcmp(argv[j], "write")) must(open(argv[j + 1], O_WRONLY | O_CREAT, 0666), argv[j + 1]);
  must(unshare(CLONE_NEWNS), "mount namespace");
  must(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), "/");
  for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
    const char *option = argv[i], *value = argv[i + 1];
    if (!strcmp(option, "open")) must(open(value, O_RDONLY), value);
    else if (!strcmp(option, "write")) continue;
    else if (!strcmp(option, "listen")) internet_socket(value, SOCK_STREAM, 1);
    else if (!strcmp(option, "connect")) internet_socket(value, SOCK_STREAM, 0);
    else if (!strcmp(option, "datagrams")) internet_socket(value, SOCK_DGRAM, 0);
    else if (!strcmp(option, "named")) named(value, SOCK_DGRAM);
    else if (!strcmp(option, "left")) left(value);
    else if (!strcmp(option, "socket")) must(socket(AF_INET, SOCK_DGRAM, 0), value);
    else if (!strcmp(option, "child")) child = value;
    else if (!strcmp(option, "hide")) must(mount("hidden", value, "tmpfs", 0, "mode=755"), value);
    else if (!strcmp(option, "devices")) devices(value);
    else if (!strcmp(option, "network")) must(unshare(CLONE_NEWNET), "network namespace");
    else if (!strcmp(option, "ipc")) must(unshare(CLONE_NEWIPC), "IPC namespace");
    else if (!strcmp(option, "keep")) must(mount(keep = value, value, NULL, MS_BIND, NULL), value);
    else if (!strcmp(option, "core")) core = atoi(value);
    else if (!strcmp(option, "uid")) uid = atoi(value);
    else if (!strcmp(option, "gid")) gid = atoi(value);
    else if (!strcmp(option, "audio")) audio = atoi(value);
    else if (!strcmp(option, "bounded")) bounded = 1;
    else if (!strcmp(option, "filtered")) filtered = 1;
    else if (!strcmp(option, "no-new")) no_new = 1;
    else must(-1, option);
  }
  if (core >= 0) no_core(core);
  if (keep != NULL) {
    read_only("/", 1, AT_RECURSIVE);
    read_only(keep, 0, 0);
  }
  if (no_new) must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
  if (filtered) filter();
  if (bounded) for (int capability = 0; capability < 64; capability++) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  if (gid > 0) {
    gid_t groups[] = {gid, audio};
    must(setgroups(audio >= 0 ? 2 : 1, groups), "groups");
    must(setresgid(gid, gid, gid), "gid");
  }
  if (uid > 0) must(setresuid(uid, uid, uid), "uid");
  umask(0077);
  if (child != NULL && fork() == 0) execlp("sleep", "sleep", child, (char *)NULL);
  execv(argv[i + 1], argv + i + 1);
  must(-1, argv[i + 1]);
}
