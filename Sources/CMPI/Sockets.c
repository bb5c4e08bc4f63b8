// Stream sockets, by numeric addresses of either family.

#define _GNU_SOURCE
#include "CMPI.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int listening(int family, const struct sockaddr *address, socklen_t length) {
  int descriptor = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  // Both families by one socket.
  int off = 0;
  if (family == AF_INET6) setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (bind(descriptor, address, length) == 0 && listen(descriptor, SOMAXCONN) == 0) return descriptor;
  int reason = errno;
  close(descriptor);
  errno = reason;
  return -1;
}

int ott_listen(uint16_t *port) {
  struct sockaddr_in6 all6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any};
  struct sockaddr_in all4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
  int descriptor = listening(AF_INET6, (struct sockaddr *)&all6, sizeof all6);
  if (descriptor < 0) descriptor = listening(AF_INET, (struct sockaddr *)&all4, sizeof all4);
  if (descriptor < 0) return -1;
  struct sockaddr_storage own;
  socklen_t length = sizeof own;
  getsockname(descriptor, (struct sockaddr *)&own, &length);
  *port = ntohs(own.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&own)->sin6_port
                                          : ((struct sockaddr_in *)&own)->sin_port);
  return descriptor;
}

int ott_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_CLOEXEC); }

void ott_addresses(char *text, size_t capacity) {
  size_t used = 0;
  text[0] = 0;
  struct ifaddrs *all;
  if (getifaddrs(&all) != 0) return;
  for (struct ifaddrs *one = all; one; one = one->ifa_next) {
    if (!one->ifa_addr || !(one->ifa_flags & IFF_UP) || (one->ifa_flags & IFF_LOOPBACK)) continue;
    char address[INET6_ADDRSTRLEN];
    const void *bytes;
    if (one->ifa_addr->sa_family == AF_INET) {
      bytes = &((struct sockaddr_in *)one->ifa_addr)->sin_addr;
    } else if (one->ifa_addr->sa_family == AF_INET6) {
      const struct in6_addr *address6 = &((struct sockaddr_in6 *)one->ifa_addr)->sin6_addr;
      if (IN6_IS_ADDR_LINKLOCAL(address6)) continue;
      bytes = address6;
    } else {
      continue;
    }
    if (!inet_ntop(one->ifa_addr->sa_family, bytes, address, sizeof address)) continue;
    size_t length = strlen(address);
    if (used + length + 2 > capacity) continue;
    if (used) text[used++] = ' ';
    memcpy(text + used, address, length + 1);
    used += length;
  }
  freeifaddrs(all);
}

int ott_connect(const char *address, uint16_t port, int milliseconds) {
  struct sockaddr_in6 place6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  struct sockaddr_in place4 = {.sin_family = AF_INET, .sin_port = htons(port)};
  const struct sockaddr *place;
  socklen_t length;
  if (inet_pton(AF_INET, address, &place4.sin_addr) == 1) {
    place = (struct sockaddr *)&place4;
    length = sizeof place4;
  } else if (inet_pton(AF_INET6, address, &place6.sin6_addr) == 1) {
    place = (struct sockaddr *)&place6;
    length = sizeof place6;
  } else {
    errno = EINVAL;
    return -1;
  }
  int descriptor = socket(place->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return -1;
  int reason = connect(descriptor, place, length) == 0 ? 0 : errno;
  if (reason == EINPROGRESS) {
    struct pollfd one = {.fd = descriptor, .events = POLLOUT};
    socklen_t size = sizeof reason;
    if (poll(&one, 1, milliseconds) != 1) {
      reason = ETIMEDOUT;
    } else {
      getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &reason, &size);
    }
  }
  if (reason) {
    close(descriptor);
    errno = reason;
    return -1;
  }
  return descriptor;
}

void ott_prepare_stream(int descriptor) {
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK);
  int on = 1;
  struct timeval second = {.tv_sec = 1};
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second);
}
