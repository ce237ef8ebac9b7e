/* Ranks by MPI, for buffers in host memory: a plugin (lib/libflip_mpi.so), so that the same flip
 * runs where no MPI is installed.
 *
 * Sums are made in the order of the ranks by the rank that owns the slice, whatever algorithm the
 * library would have taken: every rank gets the same bits, in every run. A block at a time, so that
 * the copies take `size` blocks and not as much memory as the gradients again. */
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "comm/open.h"
#include "comm/sums.h"

enum { BLOCK = 1 << 18 }; /* elements of a slice that are summed at once */

typedef struct {
  void *received;                                     /* [size, BLOCK] of master or wire type */
  uint16_t *rounded;                                  /* [size, BLOCK]: sent, where that is bf16 */
  int *counts, *places, *other_counts, *other_places; /* [size] */
} mpi_state;

static err failed(int code, const char *what) {
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  return err_new(ERR_IO, "MPI: %s: %.*s", what, length, text);
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

static int part(comm_slice s, int64_t at) {
  int64_t left = s.count - at;
  return (int)(left <= 0 ? 0 : left < BLOCK ? left : BLOCK);
}

/* Elements [at, at + BLOCK) of every slice, each to its owner. */
static err sum_block(comm *c, int64_t total, int64_t at, ops_buffer x, ops_type wire) {
  mpi_state *m = c->state;
  comm_slice mine = comm_slice_of(total, c->size, c->rank);
  bool is_rounded = wire == OPS_BF16;
  int own = part(mine, at);
  for (int r = 0; r < c->size; r++) {
    comm_slice s = comm_slice_of(total, c->size, r);
    m->counts[r] = part(s, at);
    m->places[r] = (int)(is_rounded ? r * BLOCK : m->counts[r] ? s.first + at : 0);
    m->other_counts[r] = own;
    m->other_places[r] = r * BLOCK;
    if (is_rounded)
      sums_round(ops_at(x, s.first + at), m->counts[r], m->rounded + (size_t)r * BLOCK);
  }
  int code =
      MPI_Alltoallv(is_rounded ? m->rounded : x.data, m->counts, m->places, type_of(wire),
                    m->received, m->other_counts, m->other_places, type_of(wire), MPI_COMM_WORLD);
  if (code != MPI_SUCCESS) return failed(code, "summing");
  sums_of_ranks(m->received, c->size, BLOCK, wire, own, ops_at(x, mine.first + at));
  return NULL;
}

static err sum_slices(comm *c, int64_t total, ops_buffer x, ops_type wire) {
  double start = clock_seconds();
  int64_t longest = comm_slice_of(total, c->size, 0).count;
  err error = fits(total);
  for (int64_t at = 0; at < longest && !error; at += BLOCK)
    error = sum_block(c, total, at, x, wire);
  note(c, start, total - comm_slice_of(total, c->size, c->rank).count, wire);
  return error;
}

static err gather_slices(comm *c, int64_t total, ops_buffer x) {
  double start = clock_seconds();
  mpi_state *m = c->state;
  err error = fits(total);
  if (error) return error;
  for (int r = 0; r < c->size; r++) {
    comm_slice s = comm_slice_of(total, c->size, r);
    m->counts[r] = (int)s.count;
    m->places[r] = (int)(s.count ? s.first : 0);
  }
  int code = MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, x.data, m->counts, m->places,
                            type_of(x.type), MPI_COMM_WORLD);
  note(c, start, comm_slice_of(total, c->size, c->rank).count * (c->size - 1), x.type);
  return code == MPI_SUCCESS ? NULL : failed(code, "gathering slices");
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
  free(m->received);
  free(m->rounded);
  free(m->counts);
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
  int *places = mem_zeroed(4 * size, sizeof *places);
  if (!m || !places) {
    free(m);
    free(places);
    return NULL;
  }
  *m = (mpi_state){mem_aligned(size * BLOCK * sizeof(double)),
                   mem_aligned(size * BLOCK * sizeof(uint16_t)),
                   places,
                   places + size,
                   places + 2 * size,
                   places + 3 * size};
  if (m->received && m->rounded) return m;
  free_state(m);
  return NULL;
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
  name_library(c);
  *out = c;
  return NULL;
}

/* A rank that waits gives its core to the loader's threads, which it may be bound to a core with
 * (mpirun --bind-to core), unless the person set it otherwise. Before MPI starts. */
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
