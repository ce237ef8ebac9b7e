#include "comm/comm.h"

comm_slice comm_slice_of(int64_t total, int size, int rank) {
  int64_t length = (total + size - 1) / size;
  length = (length + COMM_SLICE_UNIT - 1) / COMM_SLICE_UNIT * COMM_SLICE_UNIT;
  int64_t first = length * rank < total ? length * rank : total;
  return (comm_slice){first, total - first < length ? total - first : length};
}

err comm_join(comm *c) {
  return c->call->join ? c->call->join(c) : NULL;
}

err comm_sum(comm *c, int64_t total, ops_buffer x) {
  err error = c->call->sum_slices(c, total, x, x.type);
  if (!error) error = c->call->gather_slices(c, total, x);
  return error ? error : comm_join(c);
}
