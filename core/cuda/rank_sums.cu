/* Sums over ranks, of values that each rank sent (comm/nccl.c). Bound: memory; 4 or 2 bytes read
 * per rank and element, 4 written.
 *
 * Added in double in rank order, and rounded once: the bits depend neither on which rank adds nor
 * on where a range begins. A GPU with few double-precision units still adds faster than it reads.
 *
 * Grid: at most 4096 blocks, each thread at every grid-th pack of eight elements. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

enum { SUM_BLOCK = 256, SUM_GRID = 4096 };

typedef struct {
  int64_t count, stride;
  int ranks, own_rank;
  ops_buffer received, own, to;
  bool is_vector;
} sum_arguments;

DEVICE void add_ranks_body(sum_arguments a, int type) {
  for (int64_t at = grid_thread() * PACK; at < a.count; at += grid_threads() * PACK) {
    bool is_vector = a.is_vector && a.count - at >= PACK;
    double sum[PACK] = {0};
    pack result;
    for (int r = 0; r < a.ranks; r++) {
      pack x = r == a.own_rank
                   ? pack_load(a.own.data, type, at, a.count - at, is_vector)
                   : pack_load(a.received.data, type, r * a.stride + at, a.count - at, is_vector);
      UNROLL for (int i = 0; i < PACK; i++) sum[i] += (double)x.v[i];
    }
    UNROLL for (int i = 0; i < PACK; i++) result.v[i] = (float)sum[i];
    pack_store(a.to.data, OPS_F32, at, a.count - at, is_vector, result);
  }
}

KERNEL_PAIR(add_ranks, sum_arguments, SUM_BLOCK)

int kernel_rank_sums(int64_t count, int ranks, int own_rank, int64_t stride, ops_buffer received,
                     ops_buffer own, ops_buffer to, void *stream) {
  sum_arguments a = {count,
                     stride,
                     ranks,
                     own_rank,
                     received,
                     own,
                     to,
                     is_row_vector(PACK, to.data) && is_row_vector(stride, received.data) &&
                         is_row_vector(PACK, own.data)};
  if (count <= 0) return 0;
  if (own.type != received.type || to.type != OPS_F32 ||
      (own.type != OPS_F32 && own.type != OPS_BF16))
    return KERNEL_INVALID;
  return LAUNCH_PAIR(add_ranks, own.type,
                     GRID(at_most(divided_up(count, SUM_BLOCK * PACK), SUM_GRID), 1), SUM_BLOCK, 0,
                     stream, a);
}
