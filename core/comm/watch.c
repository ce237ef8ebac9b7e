#include "comm/watch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/mem.h"
#include "base/text.h"
#include "comm/socket.h"

enum {
  MOST_ADDRESSES = SOCKET_MOST_ADDRESSES,
  BEAT_MS = 500,
  CONNECT_SECONDS = 30,
  REACH_SECONDS = 10,
  ANSWER_SECONDS = 5,
  TEXT = 200
};
typedef enum { BEAT, BYE, ABORT } message_kind;

/* All messages have this one size. */
typedef struct {
  int32_t kind, rank;
  int32_t silent, unused; /* ABORT: the rank that may still exist; -1: none does */
  uint64_t token;
  char text[TEXT]; /* BEAT: the sender, "host node3, process 4711"; ABORT: the reason */
} message;

/* Where rank 0 listens. */
typedef struct {
  uint64_t token;
  socket_address addresses[MOST_ADDRESSES];
  int count;
} place;

typedef struct {
  int fd; /* -1: has ended normally */
  double heard;
  message partial;
  size_t filled;
  char who[TEXT];
} peer;

struct watch {
  comm *c;
  uint64_t token;
  int *neighbours; /* [size] pidfds of the other ranks on this machine; -1: not here */
  peer *peers;     /* rank 0: [size], of which 0 is unused; others: [1], rank 0 */
  int peer_count;
  bool tells; /* of the loss of the rank that it watches; rank 0, and some others (find_teller) */
  char who[TEXT];
  pthread_t thread, trainer; /* trainer: the thread that started the watch */
  bool has_thread;
  atomic_bool is_ending;
  pthread_mutex_t
      sending;          /* held to send and to close: the thread closes sockets that others use */
  pthread_mutex_t lock; /* of buffers */
  comm *buffers;        /* watched too, or NULL */
  double failed_since;  /* when its failure was seen; 0: none */
};

/* ---- the end ---- */

static void send_silence(watch *w, peer *p, message_kind kind, int silent, const char *text) {
  message m = {.kind = (int32_t)kind, .rank = w->c->rank, .silent = silent, .token = w->token};
  snprintf(m.text, sizeof m.text, "%s", text);
  pthread_mutex_lock(&w->sending);
  if (p->fd >= 0 && send(p->fd, &m, sizeof m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    /* a connection that is broken is found by reading */
  }
  pthread_mutex_unlock(&w->sending);
}

static void close_peer(watch *w, peer *p) {
  pthread_mutex_lock(&w->sending);
  close(p->fd);
  p->fd = -1;
  pthread_mutex_unlock(&w->sending);
}

static void send_to(watch *w, peer *p, message_kind kind, const char *text) {
  send_silence(w, p, kind, -1, text);
}

static void end_now(int number) {
  (void)number;
  _exit(1);
}

static void stand_still(int number) {
  (void)number;
  for (;;) pause();
}

/* Aborts the GPU's pending communication, so that the GPU is free for others; gives up after two
 * seconds. The training thread is stopped first: it would take the contents of aborted buffers for
 * results and record them. */
static void abandon_buffers(watch *w) {
  enum { LONGEST_SECONDS = 2, STOP_MICROSECONDS = 20000 };
  const comm *c = w->buffers;
  if (!c || !c->call->abandon) return;
  signal(SIGALRM, end_now);
  alarm(LONGEST_SECONDS);
  signal(SIGUSR2, stand_still);
  pthread_kill(w->trainer, SIGUSR2);
  usleep(STOP_MICROSECONDS);
  c->call->abandon(w->buffers);
}

/* A stopped process would otherwise keep its memory and its GPU. */
static void kill_silent(const watch *w, int rank) {
  if (rank >= 0 && rank < w->c->size && w->neighbours[rank] >= 0)
    pidfd_send_signal(w->neighbours[rank], SIGKILL, NULL, 0);
}

/* Called from the watch's thread, while other threads of this process may be blocked in a call
 * indefinitely. Recorded events are on disk; the current step is lost. silent: as in a message. */
static _Noreturn void end_process(watch *w, const char *why, bool is_said, int silent) {
  for (int i = 0; i < w->peer_count; i++) send_silence(w, &w->peers[i], ABORT, silent, why);
  if (!is_said) {
    log_setup("flip", LOG_ERROR);
    log_error("%s; all ranks end, --resume continues from the last checkpoint", why);
  }
  kill_silent(w, silent);
  abandon_buffers(w);
  _exit(1);
}

static _Noreturn void lose(watch *w, int rank, const peer *p, const char *how, bool is_silent) {
  char why[TEXT];
  snprintf(why, sizeof why, "rank %d of %d (%.80s) %s", rank, w->c->size,
           *p->who ? p->who : "no message received yet", how);
  end_process(w, why, !w->tells, is_silent ? rank : -1);
}

/* ---- the thread ---- */

static void take(watch *w, int rank, peer *p) {
  const message *m = &p->partial;
  if (m->token != w->token) return;
  p->heard = clock_seconds();
  if (m->kind == BEAT) snprintf(p->who, sizeof p->who, "%.*s", (int)sizeof m->text - 1, m->text);
  if (m->kind == ABORT) end_process(w, m->text, true, m->silent);
  if (m->kind == BYE || rank < 0) close_peer(w, p);
}

static _Noreturn void lose_silent(watch *w, int rank, const peer *p, double silent) {
  char how[64];
  snprintf(how, sizeof how, "has not answered for %.0f seconds", silent);
  lose(w, rank, p, how, true);
}

/* A connection that ends after several missing heartbeats is that of a process which hung, and was
 * killed by a rank that noticed a little earlier. */
static _Noreturn void lose_connection(watch *w, int rank, const peer *p) {
  double silent = clock_seconds() - p->heard;
  if (silent > WATCH_SILENCE / 2.0) lose_silent(w, rank, p, silent);
  lose(w, rank, p, "has ended", false);
}

static void hear(watch *w, int rank, peer *p) {
  for (;;) {
    ssize_t got =
        recv(p->fd, (char *)&p->partial + p->filled, sizeof p->partial - p->filled, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0 && atomic_load(&w->is_ending)) {
      close_peer(w, p);
      return;
    }
    if (got <= 0) lose_connection(w, rank, p);
    p->filled += (size_t)got;
    if (p->filled < sizeof p->partial) continue;
    p->filled = 0;
    take(w, rank, p);
    if (p->fd < 0) return;
  }
}

static void check_silence(watch *w, int rank, const peer *p) {
  double silent = clock_seconds() - p->heard;
  if (p->fd >= 0 && silent >= WATCH_SILENCE) lose_silent(w, rank, p, silent);
}

/* A lost rank makes the calls of the others fail, perhaps before its loss is detected: the message
 * should name the lost rank, not the consequence. */
static void check_buffers(watch *w) {
  pthread_mutex_lock(&w->lock);
  comm *c = w->buffers;
  err error = c && c->call->check ? c->call->check(c) : NULL;
  if (!error) w->failed_since = 0;
  if (error && w->failed_since == 0) w->failed_since = clock_seconds();
  if (error && clock_seconds() - w->failed_since > WATCH_SILENCE + 1) {
    char why[TEXT];
    snprintf(why, sizeof why, "rank %d of %d: %.150s", c->rank, c->size, err_message(error));
    end_process(w, why, false, -1);
  }
  err_free(error);
  pthread_mutex_unlock(&w->lock);
}

static void *run(void *argument) {
  watch *w = argument;
  struct pollfd *waiting = mem_zeroed((size_t)w->peer_count, sizeof *waiting);
  double last = clock_seconds();
  while (waiting && !atomic_load(&w->is_ending)) {
    int first = w->c->rank == 0 ? 1 : 0;
    for (int i = first; i < w->peer_count; i++) {
      send_to(w, &w->peers[i], BEAT, w->who);
      waiting[i] = (struct pollfd){.fd = w->peers[i].fd, .events = POLLIN};
    }
    poll(waiting + first, (nfds_t)(w->peer_count - first), BEAT_MS);
    double now = clock_seconds();
    /* this process itself was stopped or starved and did not receive: the others were not silent */
    bool was_away = now - last > WATCH_SILENCE / 2.0;
    last = now;
    for (int i = first; i < w->peer_count; i++) {
      peer *p = &w->peers[i];
      if (was_away) p->heard = now;
      if (p->fd >= 0) hear(w, i, p);
      check_silence(w, i, p);
    }
    check_buffers(w);
    usleep(BEAT_MS * 500);
  }
  free(waiting);
  return NULL;
}

/* ---- connections ---- */

static err listen_here(watch *w, place *here, int *listener) {
  uint16_t port = 0;
  if (getrandom(&here->token, sizeof here->token, 0) < 0) here->token = (uint64_t)getpid();
  w->token = here->token;
  err error = socket_listen_anywhere(listener, &port);
  if (!error) error = socket_list_addresses(here->addresses, MOST_ADDRESSES, &here->count);
  for (int i = 0; i < here->count; i++) here->addresses[i].port = port;
  return error;
}

/* What connects, or listens, may be another program that sends nothing. */
static bool receive_first(int fd, message *m) {
  return socket_await(fd, ANSWER_SECONDS) && socket_receive(fd, m, sizeof *m);
}

static err accept_all(watch *w, int listener) {
  double deadline = clock_seconds() + CONNECT_SECONDS;
  for (int found = 1; found < w->c->size;) {
    int fd;
    message m;
    err error = socket_accept(listener, deadline, &fd);
    if (error) return error;
    if (fd < 0)
      return err_new(ERR_IO,
                     "%d of %d ranks did not reach rank 0 over the network within %d seconds",
                     w->c->size - found, w->c->size, CONNECT_SECONDS);
    bool is_ours = receive_first(fd, &m) && m.token == w->token && m.rank > 0 &&
                   m.rank < w->c->size && w->peers[m.rank].fd < 0;
    if (!is_ours) {
      close(fd);
      continue;
    }
    peer *p = &w->peers[m.rank];
    *p = (peer){.fd = fd, .heard = clock_seconds()};
    snprintf(p->who, sizeof p->who, "%.*s", TEXT - 1, m.text);
    send_to(w, p, BEAT, w->who);
    found++;
  }
  return NULL;
}

/* True if rank 0 answers with the token. */
static bool greet(watch *w, int fd) {
  message m;
  peer p = {.fd = fd, .heard = clock_seconds()};
  send_to(w, &p, BEAT, w->who);
  if (!receive_first(fd, &m) || m.token != w->token) return false;
  snprintf(p.who, sizeof p.who, "%.*s", TEXT - 1, m.text);
  w->peers[0] = p;
  return true;
}

/* Rank 0 at the first of its addresses that answers. One at which another program listens, as at an
 * address that both machines have, is left out, and the others are tried again. */
static err connect_to(watch *w, const place *there) {
  socket_address left[MOST_ADDRESSES];
  int count = there->count, which = 0, fd;
  double deadline = clock_seconds() + CONNECT_SECONDS;
  memcpy(left, there->addresses, sizeof left);
  while (count > 0 && which >= 0 && clock_seconds() < deadline) {
    socket_connect_any(left, count, REACH_SECONDS, &which, &fd);
    if (which < 0) break;
    if (greet(w, fd)) return NULL;
    close(fd);
    memmove(left + which, left + which + 1, (size_t)(--count - which) * sizeof *left);
  }
  strbuf tried = {0};
  char name[SOCKET_NAME_SIZE];
  for (int i = 0; i < there->count; i++)
    strbuf_format(&tried, "%s%s", i ? ", " : "", socket_name(&there->addresses[i], name));
  int port = there->count ? ntohs(there->addresses[0].port) : 0;
  err error =
      err_new(ERR_IO,
              "rank %d cannot reach rank 0 over the network at %s (port %d, a free one): let "
              "the machines of the ranks connect to each other on all ports (firewalls, "
              "routes)",
              w->c->rank, strbuf_string(&tried), port);
  strbuf_free(&tried);
  return error;
}

static err connect_all(watch *w) {
  place here = {0};
  int listener = -1;
  err error = w->c->rank == 0 ? listen_here(w, &here, &listener) : NULL;
  if (error) here.count = 0; /* so that the others fail too instead of waiting */
  err told = w->c->call->broadcast(w->c, &here, sizeof here);
  if (error)
    err_free(told);
  else
    error = told;
  w->token = here.token;
  if (!error) error = w->c->rank == 0 ? accept_all(w, listener) : connect_to(w, &here);
  if (listener >= 0) close(listener);
  return error;
}

/* Determines whether two processes can refer to each other by process id. */
typedef struct {
  char boot[40], host[64]; /* the machine: its kernel, and its name */
  uint64_t space;          /* of process ids */
  int64_t process;
} residence;

static residence find_residence(void) {
  residence here = {.process = getpid()};
  struct stat space;
  gethostname(here.host, sizeof here.host - 1);
  if (stat("/proc/self/ns/pid", &space) == 0) here.space = space.st_ino;
  machine_boot("", here.boot, sizeof here.boot); /* unknown: no neighbours */
  return here;
}

/* The first rank on another machine than rank 0: by its kernel, or where all have the same, as
 * containers of one machine do, by its name; -1: there is none. Ranks 0 and 1 may be lost together
 * with theirs, and then this one tells. */
static int find_teller(const residence *all, int size) {
  for (int r = 1; r < size; r++)
    if (memcmp(all[r].boot, all[0].boot, sizeof all->boot) != 0) return r;
  for (int r = 1; r < size; r++)
    if (memcmp(all[r].host, all[0].host, sizeof all->host) != 0) return r;
  return -1;
}

/* Opened while all take part in this call: a descriptor always refers to that process, while its id
 * may be reused. w: NULL if there was no memory for it, which the others learn here. */
static err find_neighbours(comm *c, watch *w) {
  size_t size = (size_t)c->size;
  residence here = find_residence(), *all = mem_zeroed(size, sizeof *all);
  bool is_short = !all || !w;
  err error = comm_agree(c, is_short ? mem_error(size * sizeof *all, "watching the ranks") : NULL);
  if (!error) error = c->call->gather_bytes(c, &here, sizeof here, all);
  for (int r = 0; r < c->size && !error; r++) {
    bool is_here = *here.boot && here.space && r != c->rank && all[r].space == here.space &&
                   memcmp(all[r].boot, here.boot, sizeof here.boot) == 0 &&
                   memcmp(all[r].host, here.host, sizeof here.host) == 0;
    if (is_here) w->neighbours[r] = pidfd_open((pid_t)all[r].process, 0);
  }
  if (!error) w->tells = c->rank <= 1 || c->rank == find_teller(all, c->size);
  free(all);
  return error;
}

/* NULL when out of memory. */
static watch *make_watch(comm *c) {
  char host[64] = "";
  int count = c->rank == 0 ? c->size : 1;
  watch *w = mem_zeroed(1, sizeof *w);
  peer *peers = mem_zeroed((size_t)count, sizeof *peers);
  int *neighbours = mem_zeroed((size_t)c->size, sizeof *neighbours);
  if (!w || !peers || !neighbours) {
    free(w);
    free(peers);
    free(neighbours);
    return NULL;
  }
  *w = (watch){.c = c,
               .neighbours = neighbours,
               .peers = peers,
               .peer_count = count,
               .trainer = pthread_self()};
  pthread_mutex_init(&w->lock, NULL);
  pthread_mutex_init(&w->sending, NULL);
  for (int i = 0; i < count; i++) peers[i].fd = -1;
  for (int r = 0; r < c->size; r++) neighbours[r] = -1;
  gethostname(host, sizeof host - 1);
  snprintf(w->who, sizeof w->who, "host %s, process %d", host, (int)getpid());
  return w;
}

static err start_thread(watch *w) {
  /* the last rank may connect long after the first: silence counts from when all are there */
  for (int i = 0; i < w->peer_count; i++) w->peers[i].heard = clock_seconds();
  int code = pthread_create(&w->thread, NULL, run, w);
  w->has_thread = w->c->is_watched = code == 0;
  return code ? err_errno(code, "watching the ranks") : NULL;
}

err watch_start(comm *c, watch **out) {
  *out = NULL;
  if (comm_size(c) == 1) return NULL;
  watch *w = make_watch(c);
  err error = find_neighbours(c, w);
  if (!error) error = comm_agree(c, connect_all(w));
  if (!error) error = comm_agree(c, start_thread(w));
  if (error)
    watch_stop(w);
  else
    *out = w;
  return error;
}

int watch_here(const watch *w) {
  int here = 1;
  for (int r = 0; w && r < w->c->size; r++) here += w->neighbours[r] >= 0;
  return here;
}

void watch_also(watch *w, comm *buffers) {
  if (!w) return;
  pthread_mutex_lock(&w->lock);
  w->buffers = buffers;
  pthread_mutex_unlock(&w->lock);
}

void watch_end_all(watch *w, const char *why) {
  for (int i = 0; i < w->peer_count; i++) send_to(w, &w->peers[i], ABORT, why);
  usleep(BEAT_MS * 1000); /* so that it arrives before the connection is closed */
  _exit(1);
}

void watch_stop(watch *w) {
  if (!w) return;
  /* before the messages: a peer closes its connection as soon as it has received one */
  atomic_store(&w->is_ending, true);
  w->c->is_watched = false;
  for (int i = 0; i < w->peer_count; i++) send_to(w, &w->peers[i], BYE, "");
  if (w->has_thread) pthread_join(w->thread, NULL);
  for (int i = 0; i < w->peer_count; i++)
    if (w->peers[i].fd >= 0) close(w->peers[i].fd);
  for (int r = 0; r < w->c->size; r++)
    if (w->neighbours[r] >= 0) close(w->neighbours[r]);
  pthread_mutex_destroy(&w->lock);
  pthread_mutex_destroy(&w->sending);
  free(w->neighbours);
  free(w->peers);
  free(w);
}
