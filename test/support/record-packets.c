// Prints every packet that begins a connection, on every interface of its network namespace, one line each on stdout:
// PROTOCOL SOURCE PORT DESTINATION PORT. Of TCP the SYNs, of UDP all, of ICMP the echo requests, of other protocols
// all.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <sys/socket.h>

static void line(int family, int protocol, const void *from, const void *to, const unsigned char *body, long left) {
  char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
  inet_ntop(family, from, source, sizeof source);
  inet_ntop(family, to, destination, sizeof destination);
  const char *name = "other";
  int ports = 0;
  if (protocol == IPPROTO_TCP && left >= 14) {
    if ((body[13] & 0x12) != 0x02) return;
    name = "tcp", ports = 1;
  } else if (protocol == IPPROTO_UDP && left >= 8) name = "udp", ports = 1;
  else if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
    if (left < 1 || (body[0] != 8 && body[0] != 128)) return;
    name = "icmp";
  }
  int source_port = ports ? body[0] << 8 | body[1] : 0, destination_port = ports ? body[2] << 8 | body[3] : 0;
  printf("%s %s %d %s %d\n", name, source, source_port, destination, destination_port);
}

int main(void) {
  int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
  if (fd < 0) return perror("record-packets"), 1;
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("ready\n");
  unsigned char packet[65536];
  for (;;) {
    struct sockaddr_ll about;
    socklen_t size = sizeof about;
    long length = recvfrom(fd, packet, sizeof packet, 0, (void *)&about, &size);
    if (length < 0) return 0;
    if (about.sll_pkttype == PACKET_OUTGOING) continue; // on the loopback interface each packet also arrives
    int type = ntohs(about.sll_protocol);
    if (type == ETH_P_IP && length >= 20) {
      int header = (packet[0] & 15) * 4;
      line(AF_INET, packet[9], packet + 12, packet + 16, packet + header, length - header);
    } else if (type == ETH_P_IPV6 && length >= 40) line(AF_INET6, packet[6], packet + 8, packet + 24, packet + 40, length - 40);
    else printf("frame - 0 0x%04x 0\n", type);
  }
}
