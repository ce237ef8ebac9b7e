#include "comm/comm.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

comm_slice comm_slice_of(int64_t total, int size, int rank) {
  int64_t length = (total + size - 1) / size;
  length = (length + COMM_SLICE_UNIT - 1) / COMM_SLICE_UNIT * COMM_SLICE_UNIT;
  int64_t first = length * rank < total ? length * rank : total;
  return (comm_slice){first, total - first < length ? total - first : length};
}

/* Appends [first, end), back to front, to the existing `count` buckets. */
static size_t cut_back(int64_t first, int64_t end, int64_t most, comm_slice *buckets,
                       size_t count) {
  while (end > first) {
    int64_t begin = (end - 1 - first) / most * most + first;
    if (buckets) buckets[count] = (comm_slice){begin, end - begin};
    count++;
    end = begin;
  }
  return count;
}

static int64_t rounded_bucket(int64_t most) {
  return most < COMM_SLICE_UNIT ? COMM_SLICE_UNIT : most / COMM_SLICE_UNIT * COMM_SLICE_UNIT;
}

size_t comm_cut(int64_t total, int64_t border, int64_t most, comm_slice *buckets) {
  most = rounded_bucket(most);
  border = border / COMM_SLICE_UNIT * COMM_SLICE_UNIT;
  size_t count = cut_back(border, total, most, buckets, 0);
  return cut_back(0, border, most, buckets, count);
}

/* The same for `length` elements in whole buckets and a remainder. */
static int64_t own_of(int64_t length, int64_t most, int size, int rank) {
  return length / most * comm_slice_of(most, size, rank).count +
         comm_slice_of(length % most, size, rank).count;
}

int64_t comm_own_elements(int64_t total, int64_t border, int64_t most, int size, int rank) {
  most = rounded_bucket(most);
  border = border / COMM_SLICE_UNIT * COMM_SLICE_UNIT;
  return own_of(total - border, most, size, rank) + own_of(border, most, size, rank);
}

err comm_join(comm *c) {
  return c->call->join ? c->call->join(c) : NULL;
}

err comm_sum(comm *c, int64_t total, ops_buffer x) {
  err error = c->call->sum_slices(c, total, x, x.type);
  if (!error) error = c->call->gather_slices(c, total, x);
  return error ? error : comm_join(c);
}

typedef struct {
  int has_failed, kind;
  char message[1000];
} report;

/* The others do not know: this rank's own failure, which mostly is the reason, else that of the
 * exchange. */
static err lost(err own, err exchange) {
  err error = err_new(ERR_LOST, "%s", err_message(own ? own : exchange));
  err_free(own);
  err_free(exchange);
  return error;
}

err comm_agree(comm *c, err own) {
  report mine = {.has_failed = own != NULL, .kind = own ? (int)err_kind_of(own) : 0};
  if (own) snprintf(mine.message, sizeof mine.message, "%s", err_message(own));
  report *all = mem_zeroed((size_t)c->size, sizeof *all);
  err error = all ? c->call->gather_bytes(c, &mine, sizeof mine, all)
                  : mem_error((size_t)c->size * sizeof *all, "messages of the ranks");
  for (int r = 0; r < c->size && !error && !own; r++)
    if (all[r].has_failed) own = err_new((err_kind)all[r].kind, "rank %d: %s", r, all[r].message);
  free(all);
  return error ? lost(own, error) : own;
}
