/* Ranks by MPI, for buffers in host memory: a plugin (lib/libflip_mpi.so), so that the same flip
 * runs where no MPI is installed.
 *
 * Sums are computed in rank order by the rank that owns the slice, independently of the library's
 * algorithms: every rank gets the same bits, in every run. This is done block by block, so that the
 * copies need `size` blocks and not the size of the gradients. Ranks of one machine read each
 * other's blocks in shared memory: two barriers per block, while messages would need both processes
 * to run at the same time for every fragment. */
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "comm/open.h"
#include "comm/sums.h"

enum {
  BLOCK = 1 << 18,       /* elements of a slice that are summed at once, at most */
  WINDOW_BYTES = 4 << 20 /* of shared memory of each rank */
};

typedef struct {
  int64_t block;     /* elements of a slice that are summed at once */
  void *received;    /* [size, block] of master or wire type */
  uint16_t *rounded; /* [size, block]: sent, where that is bf16 */
  int *counts, *places, *other_counts, *other_places; /* [size] */
  const void **from;                                  /* [size] what is added */
  MPI_Win window;                                     /* MPI_WIN_NULL: ranks of several machines */
  void **windows;                                     /* [size] of each rank, WINDOW_BYTES */
} mpi_state;

static err failed(int code, const char *what) {
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  return err_new(ERR_LOST, "MPI: %s: %.*s", what, length, text);
}

static MPI_Datatype type_of(ops_type type) {
  switch (type) {
  case OPS_F32:
    return MPI_FLOAT;
  case OPS_F64:
    return MPI_DOUBLE;
  case OPS_BF16:
    return MPI_UINT16_T;
  case OPS_I32:
    return MPI_INT32_T;
  default:
    return MPI_UINT8_T;
  }
}

static err fits(int64_t count) {
  if (count <= INT_MAX) return NULL;
  return err_new(ERR_UNSUPPORTED, "MPI messages hold at most %d elements; this one has %lld",
                 INT_MAX, (long long)count);
}

static void note(comm *c, double start, int64_t elements, ops_type type) {
  c->seconds += clock_seconds() - start;
  c->bytes_moved += elements * (int64_t)ops_size_of(type);
}

static err gather(comm *c, int64_t count, ops_buffer own, ops_buffer all) {
  double start = clock_seconds();
  err error = fits(count);
  if (error) return error;
  int code = MPI_Allgather(own.data, (int)count, type_of(own.type), all.data, (int)count,
                           type_of(all.type), MPI_COMM_WORLD);
  note(c, start, count * (c->size - 1), own.type);
  return code == MPI_SUCCESS ? NULL : failed(code, "gathering");
}

static int part(comm_slice s, int64_t at, int64_t block) {
  int64_t left = s.count - at;
  return (int)(left <= 0 ? 0 : left < block ? left : block);
}

/* Elements [at, at + block) of every slice, each to its owner. */
static err send_block(comm *c, int64_t total, int64_t at, ops_buffer x, ops_type wire) {
  mpi_state *m = c->state;
  int own = part(comm_slice_of(total, c->size, c->rank), at, m->block);
  bool is_rounded = wire == OPS_BF16;
  for (int r = 0; r < c->size; r++) {
    comm_slice s = comm_slice_of(total, c->size, r);
    m->counts[r] = part(s, at, m->block);
    m->places[r] = (int)(is_rounded ? r * m->block : m->counts[r] ? s.first + at : 0);
    m->other_counts[r] = own;
    m->other_places[r] = (int)(r * m->block);
    m->from[r] = (char *)m->received + (size_t)(r * m->block) * ops_size_of(wire);
    if (is_rounded) sums_round(ops_at(x, s.first + at), m->counts[r], m->rounded + r * m->block);
  }
  int code =
      MPI_Alltoallv(is_rounded ? m->rounded : x.data, m->counts, m->places, type_of(wire),
                    m->received, m->other_counts, m->other_places, type_of(wire), MPI_COMM_WORLD);
  return code == MPI_SUCCESS ? NULL : failed(code, "summing");
}

/* Makes what ranks wrote to their windows visible to all. */
static err meet(const mpi_state *m) {
  MPI_Win_sync(m->window);
  int code = MPI_Barrier(MPI_COMM_WORLD);
  MPI_Win_sync(m->window);
  return code == MPI_SUCCESS ? NULL : failed(code, "synchronising shared memory");
}

/* The same through the windows, each of which holds [size, block]. */
static err show_block(comm *c, int64_t total, int64_t at, ops_buffer x, ops_type wire) {
  mpi_state *m = c->state;
  size_t one = ops_size_of(wire), stride = (size_t)m->block * one;
  for (int r = 0; r < c->size; r++) {
    comm_slice s = comm_slice_of(total, c->size, r);
    int count = part(s, at, m->block);
    ops_buffer place = ops_at(x, count ? s.first + at : 0);
    char *to = (char *)m->windows[c->rank] + (size_t)r * stride;
    if (wire == OPS_BF16)
      sums_round(place, count, (uint16_t *)(void *)to);
    else
      memcpy(to, place.data, (size_t)count * one);
    m->from[r] = (char *)m->windows[r] + (size_t)c->rank * stride;
  }
  return meet(m);
}

static err sum_slices(comm *c, int64_t total, ops_buffer x, ops_type wire) {
  double start = clock_seconds();
  const mpi_state *m = c->state;
  const comm_slice mine = comm_slice_of(total, c->size, c->rank);
  const int64_t longest = comm_slice_of(total, c->size, 0).count;
  bool is_shared = m->window != MPI_WIN_NULL;
  err error = fits(total);
  for (int64_t at = 0; at < longest && !error; at += m->block) {
    error = (is_shared ? show_block : send_block)(c, total, at, x, wire);
    int own = part(mine, at, m->block);
    if (!error && own) sums_of_ranks(m->from, c->size, wire, own, ops_at(x, mine.first + at));
    if (!error && is_shared) error = meet(m); /* before the windows are written again */
  }
  note(c, start, total - mine.count, wire);
  return error;
}

static err gather_by_message(comm *c, int64_t total, ops_buffer x) {
  mpi_state *m = c->state;
  for (int r = 0; r < c->size; r++) {
    comm_slice s = comm_slice_of(total, c->size, r);
    m->counts[r] = (int)s.count;
    m->places[r] = (int)(s.count ? s.first : 0);
  }
  int code = MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, x.data, m->counts, m->places,
                            type_of(x.type), MPI_COMM_WORLD);
  return code == MPI_SUCCESS ? NULL : failed(code, "gathering slices");
}

static err gather_by_window(comm *c, int64_t total, ops_buffer x) {
  const mpi_state *m = c->state;
  const comm_slice mine = comm_slice_of(total, c->size, c->rank);
  size_t one = ops_size_of(x.type);
  int64_t longest = comm_slice_of(total, c->size, 0).count, step = WINDOW_BYTES / (int64_t)one;
  err error = NULL;
  for (int64_t at = 0; at < longest && !error; at += step) {
    int own = part(mine, at, step);
    if (own) memcpy(m->windows[c->rank], ops_at(x, mine.first + at).data, (size_t)own * one);
    error = meet(m);
    for (int r = 0; r < c->size && !error; r++) {
      comm_slice s = comm_slice_of(total, c->size, r);
      int count = part(s, at, step);
      if (count && r != c->rank)
        memcpy(ops_at(x, s.first + at).data, m->windows[r], (size_t)count * one);
    }
    if (!error) error = meet(m);
  }
  return error;
}

static err gather_slices(comm *c, int64_t total, ops_buffer x) {
  double start = clock_seconds();
  const mpi_state *m = c->state;
  err error = fits(total);
  if (!error)
    error = (m->window != MPI_WIN_NULL ? gather_by_window : gather_by_message)(c, total, x);
  note(c, start, comm_slice_of(total, c->size, c->rank).count * (c->size - 1), x.type);
  return error;
}

static err broadcast(comm *c, void *bytes, size_t count) {
  double start = clock_seconds();
  err error = fits((int64_t)count);
  if (error) return error;
  int code = MPI_Bcast(bytes, (int)count, MPI_BYTE, 0, MPI_COMM_WORLD);
  note(c, start, c->rank ? 0 : (int64_t)count * (c->size - 1), OPS_U8);
  return code == MPI_SUCCESS ? NULL : failed(code, "broadcasting");
}

static err gather_bytes(comm *c, const void *own, size_t count, void *all) {
  double start = clock_seconds();
  err error = fits((int64_t)count);
  if (error) return error;
  int code = MPI_Allgather(own, (int)count, MPI_BYTE, all, (int)count, MPI_BYTE, MPI_COMM_WORLD);
  note(c, start, (int64_t)count * (c->size - 1), OPS_U8);
  return code == MPI_SUCCESS ? NULL : failed(code, "gathering bytes");
}

static void free_state(mpi_state *m) {
  if (!m) return;
  if (m->window != MPI_WIN_NULL) {
    MPI_Win_unlock_all(m->window);
    MPI_Win_free(&m->window);
  }
  free(m->received);
  free(m->rounded);
  free(m->counts);
  free(m->from);
  free(m->windows);
  free(m);
}

static void destroy(comm *c) {
  free_state(c->state);
  free(c);
  MPI_Finalize();
}

static const comm_table table = {.gather = gather,
                                 .sum_slices = sum_slices,
                                 .gather_slices = gather_slices,
                                 .broadcast = broadcast,
                                 .gather_bytes = gather_bytes,
                                 .destroy = destroy};

static void name_library(comm *c) {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);
  snprintf(c->library, sizeof c->library, "%.*s", (int)strcspn(text, ",\n"), text);
}

static mpi_state *make_state(size_t size) {
  mpi_state *m = mem_zeroed(1, sizeof *m);
  if (!m) return NULL;
  m->window = MPI_WIN_NULL;
  m->block = BLOCK;
  m->received = mem_aligned(size * BLOCK * sizeof(double));
  m->rounded = mem_aligned(size * BLOCK * sizeof(uint16_t));
  m->from = mem_zeroed(size, sizeof *m->from);
  m->windows = mem_zeroed(size, sizeof *m->windows);
  m->counts = mem_zeroed(4 * size, sizeof *m->counts);
  if (!m->received || !m->rounded || !m->from || !m->windows || !m->counts) {
    free_state(m);
    return NULL;
  }
  m->places = m->counts + size;
  m->other_counts = m->counts + 2 * size;
  m->other_places = m->counts + 3 * size;
  return m;
}

/* Uses shared memory if all ranks are on one machine and it is available; else messages. */
static void share_windows(mpi_state *m, int size) {
  MPI_Comm near;
  void *own;
  int near_size = 0, is_alike = 0, is_there = 0;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &near);
  MPI_Comm_size(near, &near_size);
  is_there = near_size == size && WINDOW_BYTES / (int)sizeof(double) / size >= COMM_SLICE_UNIT;
  MPI_Allreduce(&is_there, &is_alike, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  if (is_alike) {
    MPI_Comm_set_errhandler(near, MPI_ERRORS_RETURN);
    is_there = MPI_Win_allocate_shared(WINDOW_BYTES, 1, MPI_INFO_NULL, near, &own, &m->window) ==
               MPI_SUCCESS;
    MPI_Allreduce(&is_there, &is_alike, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  }
  MPI_Comm_free(&near);
  if (!is_alike) {
    m->window = MPI_WIN_NULL;
    return;
  }
  for (int r = 0; r < size; r++) {
    MPI_Aint bytes;
    int unit;
    MPI_Win_shared_query(m->window, r, &bytes, &unit, &m->windows[r]);
  }
  m->block = WINDOW_BYTES / (int64_t)sizeof(double) / size;
  MPI_Win_lock_all(MPI_MODE_NOCHECK, m->window);
}

static err make(comm **out) {
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  comm *c = mem_zeroed(1, sizeof *c);
  mpi_state *m = make_state((size_t)size);
  if (!c || !m) {
    free(c);
    free_state(m);
    return mem_error((size_t)size * BLOCK * sizeof(double), "communication");
  }
  *c = (comm){.call = &table, .size = size, .state = m};
  MPI_Comm_rank(MPI_COMM_WORLD, &c->rank);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  share_windows(m, size);
  name_library(c);
  *out = c;
  return NULL;
}

/* A waiting rank yields its core to the loader's threads, with which it may share it (mpirun
 * --bind-to core), unless the user has set this variable. Call it before MPI starts. */
static void yield_when_idle(void) {
  setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
}

static err open_mpi(comm **out) {
  int provided;
  yield_when_idle();
  int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
  if (code != MPI_SUCCESS) return failed(code, "starting");
  err error = make(out);
  if (error) MPI_Finalize();
  return error;
}

__attribute__((visibility("default")))
const comm_plugin flip_comm_plugin = {.version = COMM_PLUGIN_VERSION, .open = open_mpi};
