#include "imitation/nccl_link.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "imitation/imitation.h"

enum { PIECE = 64 << 10, MOST_RANKS = 16 };

/* One way between two ranks: holds one piece at a time. */
typedef struct {
  atomic_uint written, read;
  link_meaning meaning;
  size_t bytes;
  char data[PIECE];
} channel;

struct link_segment {
  atomic_int joined, left;
  struct {
    atomic_int pid;
    char gpu[80];
  } ranks[MOST_RANKS];
  channel channels[]; /* [size, size]: from, to */
};

static size_t bytes_of(int size) {
  return sizeof(link_segment) + (size_t)(size * size) * sizeof(channel);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* NCCL tells machines apart by the kernel's boot id, not by the host name alone. */
static void name_gpu(const char *bus, char gpu[80]) {
  char boot[40] = "";
  FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
  if (file && !fgets(boot, sizeof boot, file)) boot[0] = '\0';
  if (file) fclose(file);
  snprintf(gpu, 80, "%s %s", bus, boot);
}

bool link_open(nccl_link *l, const char *id, int size, int rank, const char *bus) {
  *l = (nccl_link){.rank = rank, .size = size};
  if (size == 1) return true;
  if (size > MOST_RANKS) {
    imitation_misuse("more than %d ranks (not imitated)", MOST_RANKS);
    return false;
  }
  snprintf(l->name, sizeof l->name, "/%.40s", id);
  int fd = shm_open(l->name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, (off_t)bytes_of(size)) != 0) {
    imitation_misuse("shared memory %s: %s", l->name, strerror(errno));
    if (fd >= 0) close(fd);
    return false;
  }
  void *shared = mmap(NULL, bytes_of(size), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (shared == MAP_FAILED) return false;
  l->shared = shared;
  name_gpu(bus, l->shared->ranks[rank].gpu);
  atomic_store(&l->shared->ranks[rank].pid, (int)getpid());
  atomic_fetch_add(&l->shared->joined, 1);
  return true;
}

void link_close(nccl_link *l) {
  if (!l->shared) return;
  munmap(l->shared, bytes_of(l->size));
  (void)shm_unlink(l->name);
  l->shared = NULL;
}

/* Its name is unlinked as soon as all ranks have mapped it, so that a killed rank leaves nothing
 * behind. */
bool link_is_complete(const nccl_link *l) {
  if (!l->shared) return true;
  if (atomic_load(&l->shared->joined) < l->size) return false;
  (void)shm_unlink(l->name);
  return true;
}

void link_leave(nccl_link *l) {
  if (l->shared) atomic_fetch_add(&l->shared->left, 1);
}

bool link_has_everyone_left(const nccl_link *l) {
  return !l->shared || atomic_load(&l->shared->left) >= l->size;
}

int link_duplicate(const nccl_link *l) {
  for (int r = 0; l->shared && r < l->size; r++)
    if (r != l->rank && strcmp(l->shared->ranks[r].gpu, l->shared->ranks[l->rank].gpu) == 0)
      return r;
  return -1;
}

static channel *channel_of(const nccl_link *l, int from, int to) {
  return &l->shared->channels[from * l->size + to];
}

static bool push(const nccl_link *l, link_transfer *t) {
  channel *c = channel_of(l, l->rank, t->peer);
  if (atomic_load(&c->written) != atomic_load(&c->read)) return false;
  c->meaning = t->meaning;
  c->bytes = t->left < PIECE ? t->left : PIECE;
  memcpy(c->data, t->at, c->bytes);
  t->at += c->bytes;
  t->left -= c->bytes;
  atomic_fetch_add(&c->written, 1);
  return true;
}

static bool mismatch(nccl_link *l, const link_transfer *t, const channel *c) {
  const link_meaning *own = &t->meaning, *other = &c->meaning;
  imitation_misuse(
      "rank %d: operation %d, type %d, %lld elements, root or operator %d, captured %d "
      "meets rank %d's: operation %d, type %d, %lld elements, root or operator %d, "
      "captured %d; NCCL would hang or compute wrong numbers",
      l->rank, own->kind, own->type, (long long)own->count, own->root_or_op, own->is_captured,
      t->peer, other->kind, other->type, (long long)other->count, other->root_or_op,
      other->is_captured);
  atomic_store(&l->failure, ncclInvalidUsage);
  return false;
}

static bool pull(nccl_link *l, link_transfer *t, bool *has_moved) {
  channel *c = channel_of(l, t->peer, l->rank);
  if (atomic_load(&c->written) == atomic_load(&c->read)) return true;
  if (memcmp(&c->meaning, &t->meaning, sizeof c->meaning) != 0 || c->bytes > t->left)
    return mismatch(l, t, c);
  memcpy(t->at, c->data, c->bytes);
  t->at += c->bytes;
  t->left -= c->bytes;
  atomic_fetch_add(&c->read, 1);
  *has_moved = true;
  return true;
}

/* NCCL detects the end of a process only over some networks; then it reports it. */
static void look_for_the_dead(nccl_link *l) {
  for (int r = 0; r < l->size; r++) {
    int pid = atomic_load(&l->shared->ranks[r].pid);
    if (pid && kill(pid, 0) != 0 && errno == ESRCH) atomic_store(&l->failure, ncclRemoteError);
  }
}

/* One after the other in each direction of each peer. */
static bool move_once(nccl_link *l, link_transfer *list, int count, bool *is_done,
                      bool *has_moved) {
  bool is_busy[MOST_RANKS][2] = {{false}};
  *is_done = true;
  for (int i = 0; i < count; i++) {
    link_transfer *t = &list[i];
    bool *is_taken = &is_busy[t->peer][t->is_send];
    if (t->left == 0 || *is_taken) continue;
    if (t->is_send)
      *has_moved = push(l, t) || *has_moved;
    else if (!pull(l, t, has_moved))
      return false;
    *is_taken = t->left > 0;
    *is_done = *is_done && t->left == 0;
  }
  for (int i = 0; i < count; i++) *is_done = *is_done && list[i].left == 0;
  return true;
}

bool link_run(nccl_link *l, link_transfer *list, int count) {
  double longest = (double)imitation_number("FLIP_IMITATION_NCCL_SECONDS", 60);
  double last = now();
  for (bool is_done = false; !is_done;) {
    bool has_moved = false;
    if (atomic_load(&l->is_aborted)) return false;
    if (!move_once(l, list, count, &is_done, &has_moved)) return false;
    if (has_moved) last = now();
    if (has_moved || is_done) continue;
    usleep(20);
    if (imitation_has_word("FLIP_IMITATION_NCCL", "notices")) look_for_the_dead(l);
    if (now() - last > longest) {
      imitation_misuse("rank %d has waited %.0f seconds for another rank's call", l->rank, longest);
      atomic_store(&l->failure, ncclRemoteError);
      return false;
    }
  }
  return true;
}
