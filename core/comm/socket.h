/* TCP connections between ranks: IPv4 and IPv6, without Nagle's delay. */
#ifndef FLIP_COMM_SOCKET_H
#define FLIP_COMM_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

/* Without padding, as it is sent to other ranks. */
typedef struct {
  uint16_t family; /* AF_INET, AF_INET6 */
  uint16_t port;   /* in network order */
  uint8_t bytes[16];
} socket_address;

/* Listens on a port (in network order) of every address of this machine; 0: any free port. -1 with
 * errno. */
int socket_listen(uint16_t port);
/* On a free port, which is given in network order. */
err socket_listen_anywhere(int *listener, uint16_t *port) ERR_MUST_CHECK;
/* One connection; *fd is -1 if none arrived before clock_seconds() reached `deadline`. */
err socket_accept(int listener, double deadline, int *fd) ERR_MUST_CHECK;

/* Connects within `seconds`: 0, or the errno of the failure. */
int socket_connect_once(const struct sockaddr *to, socklen_t length, double seconds, int *fd);
/* who: for the error, "rank 3". */
err socket_connect(const socket_address *to, double seconds, const char *who,
                   int *fd) ERR_MUST_CHECK;

/* The first of the addresses that accepts a connection, all of which are tried at once: the others,
 * of networks that only that machine has, may not answer at all. *which: its index; -1 (and *fd) if
 * none does within `seconds`. */
enum { SOCKET_MOST_ADDRESSES = 32 };
void socket_connect_any(const socket_address *to, int count, double seconds, int *which, int *fd);
/* "10.0.0.1" */
enum { SOCKET_NAME_SIZE = 64 };
const char *socket_name(const socket_address *address, char name[SOCKET_NAME_SIZE]);

/* This machine's addresses, at most `most` of them: IPv4 first, then IPv6 without those that are
 * valid on one link only. Their port is 0. *count: how many. */
err socket_list_addresses(socket_address *out, int most, int *count) ERR_MUST_CHECK;

/* The address of the other end of a connected socket. */
err socket_peer(int fd, socket_address *out) ERR_MUST_CHECK;
bool socket_is_loopback(const socket_address *a);
/* An IPv6 address that is valid on one link only: a socket_address has no name of the link. */
bool socket_is_of_link(const struct sockaddr *a);

/* Waits for the first byte; false when none has arrived after `seconds`. True when the other end is
 * gone, which socket_receive then reports. */
bool socket_await(int fd, double seconds);

/* Whether the other end is gone, although what it sent may still be unread. Does not wait. */
bool socket_has_ended(int fd);

/* All bytes; false when the other end is gone (errno is 0 if it closed the connection), or silent
 * for SOCKET_SILENCE seconds (errno is EAGAIN). */
enum { SOCKET_SILENCE = 10 };
bool socket_send(int fd, const void *bytes, size_t count);
bool socket_receive(int fd, void *bytes, size_t count);

#endif
