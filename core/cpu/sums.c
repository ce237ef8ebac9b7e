/* Sums of a matrix's columns, a bias gradient: sums[m] += sum over k of op(a). Bound: memory. */
#include "cpu/kernel.h"

err CPU_KERNEL(add_sums)(ops *o, const ops_gemm *g) {
  CPU_ASSERT(g->transpose_a);
  int64_t width = g->m;
  float *partial, *sums = cpu_f32(g->a_sums);
  size_t slice = (size_t)(2 * width);
  err error = cpu_scratch(o, CPU_BLOCKS * slice, &partial);
  if (error) return error;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < CPU_BLOCKS; block++) {
    float *mine = partial + (size_t)block * slice, *own = mine + width;
    memset(mine, 0, (size_t)width * sizeof *mine);
    int64_t start, end;
    cpu_block(g->k, block, &start, &end);
    for (int64_t row = start; row < end; row++) {
      const float *values = cpu_read(g->a, row * width, width, own);
#pragma omp simd
      for (int64_t i = 0; i < width; i++) mine[i] += values[i];
    }
  }
  for (int64_t block = 0; block < CPU_BLOCKS; block++)
    for (int64_t i = 0; i < width; i++) sums[i] += partial[(size_t)block * slice + (size_t)i];
  return NULL;
}
