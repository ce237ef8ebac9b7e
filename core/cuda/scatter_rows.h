/* Adds rows of a matrix to the rows of a table selected by keys, bit-reproducibly. */
#ifndef FLIP_CUDA_SCATTER_ROWS_H
#define FLIP_CUDA_SCATTER_ROWS_H

#include "ops/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* table[key(i)] += x[row(i)] for i in [0, count), added in the order of i for each key.
 * key(i) = ids[i], or ~ids[i] if negative, plus key_offset; in [0, 65,536).
 * row(i) = i, or with group > 0: (i / group) * group_stride + i % group + group_first. */
typedef struct {
  int64_t count, width;
  const int32_t *ids;
  int64_t key_offset, group, group_stride, group_first;
  ops_buffer x;     /* rows of `width`, compute type */
  ops_buffer table; /* rows of `width`, master */
} scatter_rows;

size_t kernel_scatter_rows_scratch(int64_t count, int64_t width);
int kernel_scatter_rows(const scatter_rows *s, void *scratch, void *stream);

#ifdef __cplusplus
}
#endif
#endif
