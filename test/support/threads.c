// A program of which only the second thread does what it should not: the first one is as a half's should be.
//
//   threads NETWORK PORT FILE   is root, has the network NETWORK, a connection to PORT there, FILE open, mounts of its own
//   threads NODE                holds NODE; the first thread ends
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static char **given;
static pthread_barrier_t both;

static void must(long result, const char *what) {
  if (result >= 0) return;
  perror(what);
  exit(99);
}

static void *second(void *none) {
  must(unshare(CLONE_FILES), "descriptors of its own");
  if (given[2] == NULL) must(open(given[1], O_PATH), given[1]);
  else {
    must(setns(open(given[1], O_RDONLY), CLONE_NEWNET), given[1]);
    must(open(given[3], O_WRONLY | O_CREAT, 0600), given[3]);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(given[2])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    must(connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&to, sizeof to), "connect");
    must(unshare(CLONE_NEWNS), "mounts of its own");
  }
  pthread_barrier_wait(&both);
  for (;;) pause();
  return none;
}

int main(int argc, char **argv) {
  pthread_t thread;
  given = argv;
  pthread_barrier_init(&both, NULL, 2);
  pthread_create(&thread, NULL, second, NULL);
  pthread_barrier_wait(&both);
  if (argc == 2) {
    printf("%d\n", getpid()), fflush(stdout);
    pthread_exit(NULL);
  }
  // libc would tell the other thread as well: these calls are for this one alone
  struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {1, code};
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {0};
  for (int capability = 0; capability < 64; capability++) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
  must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp");
  const char *uid = getenv("TEST_UID"), *gid = getenv("TEST_GID");
  must(syscall(SYS_setgroups, 0, NULL), "groups");
  must(syscall(SYS_setresgid, atoi(gid), atoi(gid), atoi(gid)), "gid");
  must(syscall(SYS_setresuid, atoi(uid), atoi(uid), atoi(uid)), "uid");
  must(syscall(SYS_capset, &header, none), "capabilities");
  printf("%d\n", getpid()), fflush(stdout);
  for (;;) pause();
}
