#include "comm/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "comm/rendezvous.h"
#include "comm/socket.h"
#include "comm/sums.h"
#include "comm/watch.h"

/* BLOCK: elements of a slice summed at once */
enum { BLOCK = 1 << 18, MESH_SECONDS = 60, ANSWER_SECONDS = 10 };

/* What remains to be sent to a rank and received from it. */
typedef struct {
  const char *from;
  char *to;
  size_t to_send, to_receive;
} part;

typedef struct {
  int *sockets; /* [size]; -1: this rank */
  part *parts;  /* [size] */
  struct pollfd *waiting;
  const void **added; /* [size]: what is summed */
  void *received;     /* [size, BLOCK] of master or wire type; NULL until the first sum */
  uint16_t *rounded;  /* [size, BLOCK]: sent, if the wire type is bf16 */
} tcp_state;

/* The watch notices too, names the rank and ends this process. It is given time to do so, so that
 * the one message names the rank that died and not those that noticed. While the ranks connect
 * there is none yet. */
static err lost(const comm *c, int rank, int failure) {
  if (c->is_watched) usleep((WATCH_SILENCE + 2) * 1000000);
  return err_new(ERR_LOST, "rank %d of %d: the connection to rank %d broke (%s)", c->rank, c->size,
                 rank, failure ? strerror(failure) : "closed by the other end");
}

/* While the ranks connect; `seconds`: how long an answer was awaited. */
static err lost_early(const comm *c, int rank, int failure, double seconds) {
  if (failure != EAGAIN && failure != ETIMEDOUT) return lost(c, rank, failure);
  return err_new(ERR_LOST,
                 "rank %d of %d: rank %d has not answered for %.0f s while the ranks connected: is "
                 "its process stopped?",
                 c->rank, c->size, rank, seconds);
}

static err push(const comm *c, int rank, int fd, part *p) {
  while (p->to_send > 0) {
    ssize_t sent = send(fd, p->from, p->to_send, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return NULL;
    if (sent <= 0) return lost(c, rank, errno);
    p->from += sent;
    p->to_send -= (size_t)sent;
  }
  return NULL;
}

static err pull(const comm *c, int rank, int fd, part *p) {
  while (p->to_receive > 0) {
    ssize_t got = recv(fd, p->to, p->to_receive, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return NULL;
    if (got <= 0) return lost(c, rank, got < 0 ? errno : 0);
    p->to += got;
    p->to_receive -= (size_t)got;
  }
  return NULL;
}

/* Sends and receives all parts at once, so that no order of ranks can block another. */
static err exchange(comm *c) {
  tcp_state *t = c->state;
  err error = NULL;
  for (;;) {
    nfds_t count = 0;
    for (int r = 0; r < c->size && !error; r++) {
      part *p = &t->parts[r];
      if (t->sockets[r] < 0) continue;
      error = push(c, r, t->sockets[r], p);
      if (!error) error = pull(c, r, t->sockets[r], p);
      short events = (short)((p->to_send ? POLLOUT : 0) | (p->to_receive ? POLLIN : 0));
      if (events) t->waiting[count++] = (struct pollfd){.fd = t->sockets[r], .events = events};
    }
    if (error || count == 0) return error;
    if (poll(t->waiting, count, -1) < 0 && errno != EINTR)
      return err_new(ERR_LOST, "waiting for the other ranks: %s", strerror(errno));
  }
}

static void note(comm *c, double start, int64_t bytes) {
  c->seconds += clock_seconds() - start;
  c->bytes_moved += bytes;
}

static err gather_bytes(comm *c, const void *own, size_t count, void *all) {
  double start = clock_seconds();
  tcp_state *t = c->state;
  for (int r = 0; r < c->size; r++)
    t->parts[r] = (part){own, (char *)all + (size_t)r * count, count, count};
  memmove((char *)all + (size_t)c->rank * count, own, count);
  err error = exchange(c);
  note(c, start, (int64_t)count * (c->size - 1));
  return error;
}

static err gather(comm *c, int64_t count, ops_buffer own, ops_buffer all) {
  return gather_bytes(c, own.data, (size_t)count * ops_size_of(own.type), all.data);
}

static err broadcast(comm *c, void *bytes, size_t count) {
  double start = clock_seconds();
  tcp_state *t = c->state;
  memset(t->parts, 0, (size_t)c->size * sizeof *t->parts);
  for (int r = 0; r < c->size; r++) {
    if (c->rank == 0) t->parts[r] = (part){.from = bytes, .to_send = count};
    if (c->rank > 0 && r == 0) t->parts[r] = (part){.to = bytes, .to_receive = count};
  }
  err error = exchange(c);
  note(c, start, c->rank ? 0 : (int64_t)count * (c->size - 1));
  return error;
}

static err gather_slices(comm *c, int64_t total, ops_buffer x) {
  double start = clock_seconds();
  tcp_state *t = c->state;
  size_t one = ops_size_of(x.type);
  comm_slice mine = comm_slice_of(total, c->size, c->rank);
  for (int r = 0; r < c->size; r++) {
    comm_slice s = comm_slice_of(total, c->size, r);
    t->parts[r] = (part){ops_at(x, mine.first).data, ops_at(x, s.first).data,
                         (size_t)mine.count * one, (size_t)s.count * one};
  }
  err error = exchange(c);
  note(c, start, mine.count * (c->size - 1) * (int64_t)one);
  return error;
}

static int64_t part_of(comm_slice s, int64_t at) {
  int64_t left = s.count - at;
  return left <= 0 ? 0 : left < BLOCK ? left : BLOCK;
}

/* Elements [at, at + BLOCK) of every slice, each to its owner, who adds them. */
static err sum_block(comm *c, int64_t total, int64_t at, ops_buffer x, ops_type wire) {
  tcp_state *t = c->state;
  size_t one = ops_size_of(wire);
  comm_slice mine = comm_slice_of(total, c->size, c->rank);
  int64_t own = part_of(mine, at);
  for (int r = 0; r < c->size; r++) {
    comm_slice s = comm_slice_of(total, c->size, r);
    int64_t count = part_of(s, at);
    const void *from = ops_at(x, s.first + at).data;
    char *to = (char *)t->received + (size_t)r * BLOCK * one;
    if (wire == OPS_BF16) {
      uint16_t *rounded = t->rounded + (size_t)r * BLOCK;
      sums_round(ops_at(x, s.first + at), count, rounded);
      from = rounded;
    }
    t->parts[r] = (part){from, to, (size_t)count * one, (size_t)own * one};
    t->added[r] = r == c->rank ? from : to;
  }
  err error = exchange(c);
  if (!error && own) sums_of_ranks(t->added, c->size, wire, own, ops_at(x, mine.first + at));
  return error;
}

/* Ranks on GPUs, which use TCP only for messages, need none of it. */
static err equip(comm *c) {
  tcp_state *t = c->state;
  size_t bytes = (size_t)c->size * BLOCK * sizeof(double);
  if (!t->received) t->received = mem_aligned(bytes);
  if (!t->rounded) t->rounded = mem_aligned((size_t)c->size * BLOCK * sizeof *t->rounded);
  return t->received && t->rounded ? NULL : mem_error(bytes, "communication");
}

static err sum_slices(comm *c, int64_t total, ops_buffer x, ops_type wire) {
  double start = clock_seconds();
  int64_t longest = comm_slice_of(total, c->size, 0).count;
  err error = equip(c);
  for (int64_t at = 0; at < longest && !error; at += BLOCK)
    error = sum_block(c, total, at, x, wire);
  note(c, start,
       (total - comm_slice_of(total, c->size, c->rank).count) * (int64_t)ops_size_of(wire));
  return error;
}

static void destroy(comm *c) {
  tcp_state *t = c->state;
  for (int r = 0; r < c->size; r++)
    if (t->sockets && t->sockets[r] >= 0) close(t->sockets[r]);
  free(t->sockets);
  free(t->parts);
  free(t->waiting);
  free(t->added);
  free(t->received);
  free(t->rounded);
  free(t);
  free(c);
}

static const comm_table table = {.gather = gather,
                                 .sum_slices = sum_slices,
                                 .gather_slices = gather_slices,
                                 .broadcast = broadcast,
                                 .gather_bytes = gather_bytes,
                                 .destroy = destroy};

/* The address of rank r > 0 for the others: the one that rank 0 sees; or, if r is on rank 0's own
 * machine, the one at which this rank reaches rank 0. */
static err address_of_rank(const comm *c, const socket_address *seen, const uint16_t *ports, int r,
                           socket_address *out) {
  const tcp_state *t = c->state;
  *out = seen[r];
  err error = socket_is_loopback(out) ? socket_peer(t->sockets[0], out) : NULL;
  out->port = ports[r];
  return error;
}

static err connect_to_earlier(comm *c, const socket_address *seen, const uint16_t *ports) {
  tcp_state *t = c->state;
  err error = NULL;
  for (int r = 1; r < c->rank && !error; r++) {
    char who[32];
    socket_address to;
    snprintf(who, sizeof who, "rank %d", r);
    error = address_of_rank(c, seen, ports, r, &to);
    if (!error) error = socket_connect(&to, MESH_SECONDS, who, &t->sockets[r]);
    if (!error && !socket_send(t->sockets[r], &c->rank, sizeof c->rank))
      error = err_new(ERR_IO, "%s closed the connection", who);
  }
  return error;
}

/* A connection of a later rank; *fd is -1 when none arrives. Rank 0 is connected to all: it ends
 * when one of them does, and then none will come. */
static err accept_later(const comm *c, int listener, double deadline, int *fd) {
  const tcp_state *t = c->state;
  err error = NULL;
  *fd = -1;
  for (double now; !error && *fd < 0 && (now = clock_seconds()) < deadline;) {
    if (socket_has_ended(t->sockets[0])) return lost(c, 0, 0);
    error = socket_accept(listener, now + 1 < deadline ? now + 1 : deadline, fd);
  }
  return error;
}

static err missing_later(const comm *c) {
  const tcp_state *t = c->state;
  strbuf missing = {0};
  for (int r = c->rank + 1; r < c->size; r++)
    if (t->sockets[r] < 0) strbuf_format(&missing, "%s%d", missing.length ? ", " : "", r);
  err error = err_new(ERR_IO,
                      "rank %d of %d waited %d s for connections of other ranks (%s): a firewall "
                      "may be between them (docs/clusters.md), or their processes are stopped",
                      c->rank, c->size, MESH_SECONDS, strbuf_string(&missing));
  strbuf_free(&missing);
  return error;
}

/* Connects the ranks from 1 on with each other: each connects to those before it, and sends its
 * number. */
static err connect_mesh(comm *c, int listener, const socket_address *seen, const uint16_t *ports) {
  tcp_state *t = c->state;
  double deadline = clock_seconds() + MESH_SECONDS;
  err error = connect_to_earlier(c, seen, ports);
  for (int found = c->rank + 1; found < c->size && !error;) {
    int fd, rank = -1;
    error = accept_later(c, listener, deadline, &fd);
    if (!error && fd < 0) error = missing_later(c);
    if (error || fd < 0) break;
    bool is_rank = socket_receive(fd, &rank, sizeof rank) && rank > c->rank && rank < c->size &&
                   t->sockets[rank] < 0;
    if (!is_rank) {
      close(fd);
      continue;
    }
    t->sockets[rank] = fd;
    found++;
  }
  return error;
}

/* Rank 0 gathers the addresses of all ranks and sends them to all, once the last has arrived: until
 * then the others wait, as long as rank 0 itself waits for ranks, and a little for its answer. */
static err share_addresses(comm *c, uint16_t own, socket_address *seen, uint16_t *ports) {
  tcp_state *t = c->state;
  size_t size = (size_t)c->size;
  err error = NULL;
  if (c->rank > 0) {
    double seconds;
    error = rendezvous_seconds(&seconds);
    if (error) return error;
    if (!socket_send(t->sockets[0], &own, sizeof own)) return lost(c, 0, errno);
    if (!socket_await(t->sockets[0], seconds + ANSWER_SECONDS))
      return lost_early(c, 0, ETIMEDOUT, seconds + ANSWER_SECONDS);
    if (!socket_receive(t->sockets[0], seen, size * sizeof *seen) ||
        !socket_receive(t->sockets[0], ports, size * sizeof *ports))
      return lost_early(c, 0, errno, SOCKET_SILENCE);
    return NULL;
  }
  for (int r = 1; r < c->size && !error; r++) {
    error = socket_peer(t->sockets[r], &seen[r]);
    if (!error && !socket_receive(t->sockets[r], &ports[r], sizeof ports[r]))
      error = lost_early(c, r, errno, SOCKET_SILENCE);
  }
  for (int r = 1; r < c->size && !error; r++)
    if (!socket_send(t->sockets[r], seen, size * sizeof *seen) ||
        !socket_send(t->sockets[r], ports, size * sizeof *ports))
      error = lost_early(c, r, errno, SOCKET_SILENCE);
  return error;
}

static err connect_all(comm *c, const launch *l) {
  tcp_state *t = c->state;
  int listener = -1;
  uint16_t port = 0;
  socket_address *seen = mem_zeroed((size_t)c->size, sizeof *seen);
  uint16_t *ports = mem_zeroed((size_t)c->size, sizeof *ports);
  err error = NULL;
  if (!seen || !ports) {
    error = mem_error((size_t)c->size * sizeof *seen, "communication");
    goto cleanup;
  }
  TRY(rendezvous_meet(l, t->sockets));
  TRY(socket_listen_anywhere(&listener, &port));
  TRY(share_addresses(c, port, seen, ports));
  if (c->rank > 0) TRY(connect_mesh(c, listener, seen, ports));
cleanup:
  if (listener >= 0) close(listener);
  free(seen);
  free(ports);
  return error;
}

err tcp_open(const launch *l, comm **out) {
  size_t size = (size_t)l->size;
  comm *c = mem_zeroed(1, sizeof *c);
  tcp_state *t = mem_zeroed(1, sizeof *t);
  if (!c || !t) {
    free(c);
    free(t);
    return mem_error(sizeof *t, "communication");
  }
  *t = (tcp_state){.sockets = mem_zeroed(size, sizeof *t->sockets),
                   .parts = mem_zeroed(size, sizeof *t->parts),
                   .waiting = mem_zeroed(size, sizeof *t->waiting),
                   .added = mem_zeroed(size, sizeof *t->added)};
  *c = (comm){.call = &table, .rank = l->rank, .size = l->size, .library = "TCP", .state = t};
  bool is_complete = t->sockets && t->parts && t->waiting && t->added;
  for (size_t r = 0; t->sockets && r < size; r++) t->sockets[r] = -1;
  err error = is_complete ? connect_all(c, l) : mem_error(size * sizeof *t->parts, "communication");
  if (error)
    destroy(c);
  else
    *out = c;
  return error;
}
