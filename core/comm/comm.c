#include "comm/comm.h"

enum { SLICE_UNIT = 16 };

comm_slice comm_slice_of(int64_t total, int size, int rank) {
  int64_t length = (total + size - 1) / size;
  length = (length + SLICE_UNIT - 1) / SLICE_UNIT * SLICE_UNIT;
  int64_t first = length * rank < total ? length * rank : total;
  return (comm_slice){first, total - first < length ? total - first : length};
}

err comm_sum(comm *c, int64_t total, ops_buffer x) {
  err error = c->call->sum_slices(c, total, x);
  return error ? error : c->call->gather_slices(c, total, x);
}
