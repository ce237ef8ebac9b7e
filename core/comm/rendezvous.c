#include "comm/rendezvous.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "comm/socket.h"

enum {
  REPLY = 240,
  RETRY_MS = 200,
  PATIENCE_SECONDS = 120,
  ADDRESS_SECONDS = 5, /* a name may have several addresses, and the first not be reachable */
  HELLO_SECONDS = 2,
  ANSWER_SECONDS = 10
};
static const char greeting[16] = "flip rank 1";

/* A rank's first message. run: a hash of torchrun's id of the run, or else of
 * Slurm's job. */
typedef struct {
  char greeting[16];
  int32_t rank, size;
  char run[HASH_SIZE];
} hello;

/* Rank 0's answer; "": accepted. */
typedef struct {
  char refusal[REPLY];
} reply;

err rendezvous_seconds(double *seconds) {
  const char *text = getenv("FLIP_RENDEZVOUS_SECONDS");
  *seconds = PATIENCE_SECONDS;
  if (!text || !*text || (text_parse_duration(text, seconds) && *seconds > 0)) return NULL;
  return err_new(ERR_INPUT, "FLIP_RENDEZVOUS_SECONDS=%s is not a time above 0, such as 90 or 2m",
                 text);
}

/* torchrun's agent may itself listen on MASTER_PORT, for PyTorch's own rendezvous. */
static int port_of(const launch *l) {
  const char *is_taken = getenv("TORCHELASTIC_USE_AGENT_STORE");
  return l->port + (is_taken && strcmp(is_taken, "True") == 0 && l->port < 65535 ? 1 : 0);
}

/* Not of Slurm's step: the ranks of one run may be started by several sruns. */
static void run_of(char digest[HASH_SIZE]) {
  const char *id = getenv("TORCHELASTIC_RUN_ID");
  if (!id) id = getenv("SLURM_JOB_ID");
  if (!id) id = "";
  hash_bytes(id, strlen(id), digest);
}

/* Rank 0. */

/* Ranks that have not connected: "1, 4, 5 and 9 more". */
static void name_missing(const int *sockets, int size, strbuf *out) {
  enum { NAMED = 8 };
  int missing = 0;
  for (int r = 1; r < size; r++) {
    if (sockets[r] >= 0) continue;
    if (missing++ < NAMED) strbuf_format(out, "%s%d", missing > 1 ? ", " : "", r);
  }
  if (missing > NAMED) strbuf_format(out, " and %d more", missing - NAMED);
}

static void judge(const launch *l, const int *sockets, const hello *h, reply *out) {
  char run[HASH_SIZE];
  run_of(run);
  *out = (reply){{0}};
  if (memcmp(h->run, run, HASH_SIZE) != 0) /* whose size is no mistake */
    snprintf(out->refusal, REPLY, "it belongs to another run (TORCHELASTIC_RUN_ID, SLURM_JOB_ID)");
  else if (h->size != l->size)
    snprintf(out->refusal, REPLY, "it was started with WORLD_SIZE=%d, rank 0 with %d", h->size,
             l->size);
  else if (h->rank <= 0 || h->rank >= l->size)
    snprintf(out->refusal, REPLY, "there is no such rank of %d", l->size);
  else if (sockets[h->rank] >= 0)
    snprintf(out->refusal, REPLY, "another process already has RANK=%d", h->rank);
}

/* What rank 0 has to say when ranks are missing. */
typedef struct {
  int found;
  int refused; /* the last rank that was; with the reason */
  reply why;
} gathering;

/* A connection with another first message, or none soon, is not a rank: a port scanner, another
 * program. A rank of this run that expects another number of ranks never becomes one of them. */
static err welcome(const launch *l, int *sockets, int fd, gathering *g) {
  hello h;
  reply answer;
  if (!socket_await(fd, HELLO_SECONDS) || !socket_receive(fd, &h, sizeof h) ||
      memcmp(h.greeting, greeting, sizeof greeting) != 0) {
    close(fd);
    return NULL;
  }
  judge(l, sockets, &h, &answer);
  bool is_welcome = socket_send(fd, &answer, sizeof answer) && !*answer.refusal;
  if (is_welcome) {
    sockets[h.rank] = fd;
    g->found++;
    return NULL;
  }
  close(fd);
  if (!*answer.refusal) return NULL;
  g->refused = h.rank;
  g->why = answer;
  char run[HASH_SIZE];
  run_of(run);
  bool is_of_run = memcmp(h.run, run, HASH_SIZE) == 0;
  if (!is_of_run || h.size == l->size) return NULL;
  return err_new(ERR_INPUT,
                 "rank 0 rejected rank %d: %s; start all ranks of a run with the same WORLD_SIZE",
                 h.rank, answer.refusal);
}

/* Of the ranks that have connected. */
static err find_ended(const launch *l, const int *sockets) {
  for (int r = 1; r < l->size; r++)
    if (sockets[r] >= 0 && socket_has_ended(sockets[r]))
      return err_new(ERR_LOST, "rank %d of %d ended while the ranks connected", r, l->size);
  return NULL;
}

static err missing_ranks(const launch *l, double seconds, const int *sockets, const gathering *g) {
  strbuf missing = {0}, refused = {0};
  name_missing(sockets, l->size, &missing);
  if (*g->why.refusal)
    strbuf_format(&refused, "; rank 0 rejected rank %d: %s", g->refused, g->why.refusal);
  err error =
      err_new(ERR_IO,
              "rank 0 waited %.0f s on port %d, and %d of %d ranks did not connect (%s): check "
              "that they were started with MASTER_ADDR=%s and MASTER_PORT=%d and have not ended, "
              "and that a firewall lets them through%s",
              seconds, port_of(l), l->size - g->found, l->size, strbuf_string(&missing), l->address,
              l->port, strbuf_string(&refused));
  strbuf_free(&missing);
  strbuf_free(&refused);
  return error;
}

static err gather_here(const launch *l, double seconds, int *sockets) {
  double deadline = clock_seconds() + seconds;
  int port = port_of(l);
  gathering g = {.found = 1};
  int listener = socket_listen(htons((uint16_t)port));
  if (listener < 0 && errno == EADDRINUSE)
    return err_new(ERR_IO,
                   "rank 0 cannot listen on port %d: another program uses it; choose another "
                   "MASTER_PORT, the same for all ranks",
                   port);
  if (listener < 0) return err_errno(errno, "rank 0 cannot listen on port %d (MASTER_PORT)", port);
  err error = NULL;
  while (g.found < l->size && !error) {
    int fd = -1;
    double now = clock_seconds();
    if (now >= deadline) break;
    error = socket_accept(listener, fmin(now + 1, deadline), &fd);
    if (!error && fd >= 0) error = welcome(l, sockets, fd, &g);
    if (!error) error = find_ended(l, sockets);
  }
  close(listener);
  return error || g.found == l->size ? error : missing_ranks(l, seconds, sockets, &g);
}

/* The others. */

/* One attempt at every address of rank 0's machine; *why: the failure. */
static bool reach(const launch *l, double seconds, int *fd, const char **why) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;
  char port[8];
  snprintf(port, sizeof port, "%d", port_of(l));
  int code = getaddrinfo(l->address, port, &hints, &all);
  if (code) {
    *why = gai_strerror(code);
    return false;
  }
  int failure = EHOSTUNREACH;
  for (const struct addrinfo *a = all; a && failure; a = a->ai_next)
    if (!socket_is_of_link(a->ai_addr))
      failure = socket_connect_once(a->ai_addr, a->ai_addrlen, fmin(seconds, ADDRESS_SECONDS), fd);
  freeaddrinfo(all);
  *why = strerror(failure);
  return failure == 0;
}

/* Rank 0 may start later: a refused connection is tried again. */
static err connect_there(const launch *l, double seconds, double deadline, int *fd) {
  const char *why = "";
  while (clock_seconds() < deadline) {
    if (reach(l, deadline - clock_seconds(), fd, &why)) return NULL;
    usleep(RETRY_MS * 1000);
  }
  return err_new(ERR_IO,
                 "rank %d could not reach rank 0 at %s, port %d, within %.0f s (%s): check "
                 "that MASTER_ADDR names the machine on which rank 0 runs, that MASTER_PORT is the "
                 "same there, and that a firewall lets it through",
                 l->rank, l->address, port_of(l), seconds, why);
}

/* Rank 0 may first wait for other connections, which say nothing: its answer is awaited as long as
 * the connection, and a little more. */
static err join_there(const launch *l, double seconds, int *sockets) {
  double deadline = clock_seconds() + seconds;
  hello h = {.rank = l->rank, .size = l->size};
  reply answer;
  run_of(h.run);
  memcpy(h.greeting, greeting, sizeof greeting);
  err error = connect_there(l, seconds, deadline, &sockets[0]);
  if (error) return error;
  if (!socket_send(sockets[0], &h, sizeof h) ||
      !socket_await(sockets[0], deadline - clock_seconds() + ANSWER_SECONDS) ||
      !socket_receive(sockets[0], &answer, sizeof answer))
    return err_new(ERR_IO,
                   "rank %d: the program listening at %s, port %d, is not rank 0 of flip: "
                   "choose another MASTER_PORT",
                   l->rank, l->address, port_of(l));
  answer.refusal[REPLY - 1] = '\0';
  if (!*answer.refusal) return NULL;
  return err_new(ERR_INPUT, "rank 0 at %s, port %d, rejected rank %d: %s", l->address, port_of(l),
                 l->rank, answer.refusal);
}

/* The ranks tell each other their addresses, without the link on which one may be valid. */
static err refuse_link(const launch *l) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *all = NULL;
  if (getaddrinfo(l->address, NULL, &hints, &all) != 0) return NULL;
  bool is_of_link = socket_is_of_link(all->ai_addr);
  freeaddrinfo(all);
  if (!is_of_link) return NULL;
  return err_new(ERR_INPUT,
                 "MASTER_ADDR=%s is a link-local IPv6 address, which ranks cannot pass to each "
                 "other: use another address of that machine ('ip address' lists them: IPv4, or "
                 "IPv6 of scope global), or its name",
                 l->address);
}

err rendezvous_meet(const launch *l, int *sockets) {
  for (int r = 0; r < l->size; r++) sockets[r] = -1;
  double seconds;
  err error = rendezvous_seconds(&seconds);
  if (!error) error = refuse_link(l);
  if (error) return error;
  return l->rank == 0 ? gather_here(l, seconds, sockets) : join_there(l, seconds, sockets);
}
