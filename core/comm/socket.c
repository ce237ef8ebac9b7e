#include "comm/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

static void prepare(int fd) {
  const int yes = 1;
  struct timeval limit = {.tv_sec = SOCKET_SILENCE};
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

bool socket_send(int fd, const void *bytes, size_t count) {
  const char *at = bytes;
  while (count > 0) {
    ssize_t sent = send(fd, at, count, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    at += sent;
    count -= (size_t)sent;
  }
  return true;
}

bool socket_receive(int fd, void *bytes, size_t count) {
  char *at = bytes;
  while (count > 0) {
    ssize_t got = recv(fd, at, count, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) errno = 0;
    if (got <= 0) return false;
    at += got;
    count -= (size_t)got;
  }
  return true;
}

bool socket_await(int fd, double seconds) {
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  double deadline = clock_seconds() + seconds;
  for (double left = seconds; left > 0; left = deadline - clock_seconds())
    if (poll(&waiting, 1, (int)(1000 * (left < 1 ? left : 1)) + 1) > 0) return true;
  errno = ETIMEDOUT;
  return false;
}

bool socket_has_ended(int fd) {
  struct pollfd end = {.fd = fd, .events = POLLRDHUP};
  return poll(&end, 1, 0) > 0 && (end.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* Port 0: any free one. IPv6 sockets accept IPv4 too, if the machine supports IPv6. */
static int listen_on(int family, uint16_t port) {
  const int yes = 1, no = 0;
  struct sockaddr_in6 six = {
      .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_ANY_INIT};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = port};
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  int failed = family == AF_INET6 ? bind(fd, (struct sockaddr *)&six, sizeof six)
                                  : bind(fd, (struct sockaddr *)&four, sizeof four);
  if (!failed && listen(fd, SOMAXCONN) == 0) return fd;
  int kept = errno;
  close(fd);
  errno = kept;
  return -1;
}

int socket_listen(uint16_t port) {
  int fd = listen_on(AF_INET6, port);
  return fd >= 0 || errno == EADDRINUSE || errno == EACCES ? fd : listen_on(AF_INET, port);
}

static bool address_of(const struct sockaddr_storage *from, socket_address *out) {
  *out = (socket_address){.family = from->ss_family};
  if (from->ss_family == AF_INET) {
    const struct sockaddr_in *four = (const struct sockaddr_in *)from;
    memcpy(out->bytes, &four->sin_addr, 4);
    out->port = four->sin_port;
    return true;
  }
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
  out->port = six->sin6_port;
  if (from->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
    out->family = AF_INET;
    memcpy(out->bytes, six->sin6_addr.s6_addr + 12, 4);
  } else {
    memcpy(out->bytes, &six->sin6_addr, 16);
  }
  return from->ss_family == AF_INET6;
}

err socket_listen_anywhere(int *listener, uint16_t *port) {
  struct sockaddr_storage own;
  socklen_t length = sizeof own;
  socket_address address;
  *listener = socket_listen(0);
  if (*listener < 0 || getsockname(*listener, (struct sockaddr *)&own, &length) != 0 ||
      !address_of(&own, &address))
    return err_errno(errno, "cannot listen for the other ranks");
  *port = address.port;
  return NULL;
}

bool socket_is_of_link(const struct sockaddr *a) {
  const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;
  return a->sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr);
}

err socket_list_addresses(socket_address *out, int most, int *count) {
  static const sa_family_t families[] = {AF_INET, AF_INET6};
  struct ifaddrs *all = NULL;
  *count = 0;
  if (getifaddrs(&all) != 0) return err_errno(errno, "cannot list this machine's addresses");
  for (int f = 0; f < 2; f++)
    for (const struct ifaddrs *a = all; a && *count < most; a = a->ifa_next) {
      if (!a->ifa_addr || a->ifa_addr->sa_family != families[f]) continue;
      struct sockaddr_storage own = {0};
      size_t length = f ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
      memcpy(&own, a->ifa_addr, length);
      if (socket_is_of_link((const struct sockaddr *)&own)) continue;
      if (address_of(&own, &out[*count])) ++*count;
    }
  freeifaddrs(all);
  return NULL;
}

err socket_peer(int fd, socket_address *out) {
  struct sockaddr_storage other;
  socklen_t length = sizeof other;
  if (getpeername(fd, (struct sockaddr *)&other, &length) != 0 || !address_of(&other, out))
    return err_errno(errno, "cannot get the address of a connection");
  return NULL;
}

bool socket_is_loopback(const socket_address *a) {
  static const uint8_t six[16] = {[15] = 1};
  return a->family == AF_INET ? a->bytes[0] == 127 : memcmp(a->bytes, six, 16) == 0;
}

err socket_accept(int listener, double deadline, int *fd) {
  struct pollfd waiting = {.fd = listener, .events = POLLIN};
  *fd = -1;
  while (*fd < 0) {
    double left = deadline - clock_seconds();
    if (left <= 0) return NULL;
    if (poll(&waiting, 1, (int)(1000 * (left < 1 ? left : 1)) + 1) <= 0) continue;
    *fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (*fd < 0 && errno != EINTR && errno != ECONNABORTED && errno != EAGAIN)
      return err_errno(errno, "cannot accept a connection of another rank");
  }
  prepare(*fd);
  return NULL;
}

/* A connection that has begun: its descriptor, or -1 with errno. *failure: EINPROGRESS, or of one
 * that has ended already. */
static int begin(const struct sockaddr *to, socklen_t length, int *failure) {
  int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0) *failure = connect(fd, to, length) != 0 ? errno : 0;
  return fd;
}

/* Of a descriptor that poll reports. */
static int failure_of(int fd) {
  int failure = 0;
  socklen_t size = sizeof failure;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0 ? errno : failure;
}

static void take(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  prepare(fd);
}

int socket_connect_once(const struct sockaddr *to, socklen_t length, double seconds, int *out) {
  int failure, fd = begin(to, length, &failure);
  if (fd < 0) return errno;
  struct pollfd waiting = {.fd = fd, .events = POLLOUT};
  if (failure == EINPROGRESS)
    failure = poll(&waiting, 1, (int)(seconds * 1000) + 1) <= 0 ? ETIMEDOUT : failure_of(fd);
  if (failure) {
    close(fd);
    return failure;
  }
  take(fd);
  *out = fd;
  return 0;
}

/* A socket address of the system's; returns its length. */
static socklen_t system_address(const socket_address *from, struct sockaddr_storage *out) {
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = from->port};
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = from->port};
  memcpy(&four.sin_addr, from->bytes, 4);
  memcpy(&six.sin6_addr, from->bytes, 16);
  bool is_four = from->family == AF_INET;
  socklen_t length = is_four ? sizeof four : sizeof six;
  memcpy(out, is_four ? (const void *)&four : (const void *)&six, length);
  return length;
}

const char *socket_name(const socket_address *address, char name[SOCKET_NAME_SIZE]) {
  struct sockaddr_storage at;
  socklen_t length = system_address(address, &at);
  *name = '\0';
  getnameinfo((const struct sockaddr *)&at, length, name, SOCKET_NAME_SIZE, NULL, 0,
              NI_NUMERICHOST);
  return name;
}

void socket_connect_any(const socket_address *to, int count, double seconds, int *which, int *fd) {
  struct pollfd waiting[SOCKET_MOST_ADDRESSES];
  double deadline = clock_seconds() + seconds;
  int left = 0;
  *which = *fd = -1;
  if (count > SOCKET_MOST_ADDRESSES) count = SOCKET_MOST_ADDRESSES;
  for (int i = 0; i < count; i++) {
    struct sockaddr_storage at;
    socklen_t length = system_address(&to[i], &at);
    int failure, one = begin((const struct sockaddr *)&at, length, &failure);
    bool is_open = one >= 0 && (!failure || failure == EINPROGRESS);
    if (one >= 0 && !is_open) close(one);
    waiting[i] = (struct pollfd){.fd = is_open ? one : -1, .events = POLLOUT};
    left += is_open;
  }
  while (left && *which < 0 && clock_seconds() < deadline) {
    double rest = deadline - clock_seconds();
    if (poll(waiting, (nfds_t)count, (int)(1000 * (rest < 1 ? rest : 1)) + 1) <= 0) continue;
    for (int i = 0; i < count && *which < 0; i++) {
      if (waiting[i].fd < 0 || !waiting[i].revents) continue;
      if (!failure_of(waiting[i].fd)) {
        *which = i;
        continue;
      }
      close(waiting[i].fd);
      waiting[i].fd = -1;
      left--;
    }
  }
  for (int i = 0; i < count; i++)
    if (i != *which && waiting[i].fd >= 0) close(waiting[i].fd);
  if (*which < 0) return;
  *fd = waiting[*which].fd;
  take(*fd);
}

err socket_connect(const socket_address *to, double seconds, const char *who, int *fd) {
  struct sockaddr_storage at;
  char name[SOCKET_NAME_SIZE];
  socklen_t length = system_address(to, &at);
  int failure = socket_connect_once((const struct sockaddr *)&at, length, seconds, fd);
  if (!failure) return NULL;
  return err_errno(failure, "cannot connect to %s at %s, port %d", who, socket_name(to, name),
                   ntohs(to->port));
}
