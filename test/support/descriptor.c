// Hands a pipe to another process over a local socket (unix(7), SCM_RIGHTS), or takes it:
// descriptor serve|call give|take PATH. Says `given`, `taken`, or why not.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int said(const char *what) {
  printf("%s: %s\n", what, strerror(errno));
  return 1;
}

int main(int argc, char **argv) {
  struct sockaddr_un place = {.sun_family = AF_UNIX};
  char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec content = {&byte, 1};
  struct msghdr message = {.msg_iov = &content, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  setvbuf(stdout, NULL, _IONBF, 0);
  strncpy(place.sun_path, argv[3], sizeof place.sun_path - 1);
  int peer = socket(AF_UNIX, SOCK_STREAM, 0);
  if (!strcmp(argv[1], "serve")) {
    umask(0);
    unlink(argv[3]);
    if (bind(peer, (void *)&place, sizeof place) != 0 || listen(peer, 1) != 0) return said("serve");
    if ((peer = accept(peer, NULL, NULL)) < 0) return said("accept");
    unlink(argv[3]);
  } else {
    while (connect(peer, (void *)&place, sizeof place) != 0) usleep(50000);
  }
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (!strcmp(argv[2], "give")) {
    int ends[2];
    if (pipe(ends) != 0) return said("pipe");
    header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), ends, sizeof(int));
    if (sendmsg(peer, &message, 0) < 0) return said("give");
    puts("given");
  } else {
    if (recvmsg(peer, &message, 0) < 0) return said("take");
    puts("taken");
  }
  pause();
}
