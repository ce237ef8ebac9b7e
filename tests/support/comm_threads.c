#include "support/comm_threads.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct comm_threads {
  pthread_barrier_t barrier;
  comm ranks[COMM_THREADS_MOST];
  const void *published[COMM_THREADS_MOST];
  int size;
};

/* Everybody's pointer is there when it returns. */
static comm_threads *publish(comm *c, const void *own) {
  comm_threads *g = c->state;
  g->published[c->rank] = own;
  pthread_barrier_wait(&g->barrier);
  return g;
}

static err gather_bytes(comm *c, const void *own, size_t count, void *all) {
  comm_threads *g = publish(c, own);
  for (int r = 0; r < c->size; r++) memcpy((char *)all + (size_t)r * count, g->published[r], count);
  pthread_barrier_wait(&g->barrier);
  return NULL;
}

static err gather(comm *c, int64_t count, ops_buffer own, ops_buffer all) {
  return gather_bytes(c, own.data, (size_t)count * ops_size_of(own.type), all.data);
}

/* To 8 significant bits by arithmetic alone: an independent account of what a bf16 wire does. */
static double round_bf16(double value) {
  int exponent;
  double fraction = frexp((double)(float)value, &exponent);
  return value == 0 || !isfinite(value) ? value
                                        : ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
}

static double element(const void *x, ops_type type, int64_t i, ops_type wire) {
  double value = type == OPS_F64 ? ((const double *)x)[i] : (double)((const float *)x)[i];
  return wire == OPS_BF16 ? round_bf16(value) : value;
}

static err sum_slices(comm *c, int64_t total, ops_buffer x, ops_type wire) {
  comm_threads *g = publish(c, x.data);
  comm_slice s = comm_slice_of(total, c->size, c->rank);
  double *sums = calloc((size_t)s.count + 1, sizeof *sums);
  for (int r = 0; r < c->size; r++)
    for (int64_t i = 0; i < s.count; i++)
      sums[i] += element(g->published[r], x.type, s.first + i, wire);
  pthread_barrier_wait(&g->barrier);
  for (int64_t i = 0; i < s.count; i++) {
    if (x.type == OPS_F64)
      ((double *)x.data)[s.first + i] = sums[i];
    else
      ((float *)x.data)[s.first + i] = (float)sums[i];
  }
  free(sums);
  return NULL;
}

static err gather_slices(comm *c, int64_t total, ops_buffer x) {
  comm_threads *g = publish(c, x.data);
  size_t one = ops_size_of(x.type);
  for (int r = 0; r < c->size; r++) {
    comm_slice s = comm_slice_of(total, c->size, r);
    if (r != c->rank)
      memcpy(ops_at(x, s.first).data, (const char *)g->published[r] + (size_t)s.first * one,
             (size_t)s.count * one);
  }
  pthread_barrier_wait(&g->barrier);
  return NULL;
}

static err broadcast(comm *c, void *bytes, size_t count) {
  comm_threads *g = publish(c, bytes);
  if (c->rank) memcpy(bytes, g->published[0], count);
  pthread_barrier_wait(&g->barrier);
  return NULL;
}

static void destroy(comm *c) {
  (void)c; /* the group's */
}

static const comm_table table = {.gather = gather,
                                 .sum_slices = sum_slices,
                                 .gather_slices = gather_slices,
                                 .broadcast = broadcast,
                                 .gather_bytes = gather_bytes,
                                 .destroy = destroy};

comm_threads *comm_threads_create(int size) {
  comm_threads *g = calloc(1, sizeof *g);
  g->size = size;
  pthread_barrier_init(&g->barrier, NULL, (unsigned)size);
  for (int r = 0; r < size; r++)
    g->ranks[r] = (comm){.call = &table, .rank = r, .size = size, .library = "threads", .state = g};
  return g;
}

comm *comm_threads_of(comm_threads *g, int rank) {
  return &g->ranks[rank];
}

void comm_threads_destroy(comm_threads *g) {
  pthread_barrier_destroy(&g->barrier);
  free(g);
}
