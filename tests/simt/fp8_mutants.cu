/* Every barrier is a site, so that a test can remove one at a time: each removal must be detected.
 */
#include "simt/fp8_mutants.h"

#include "simt/left_out.h"
#include "simt/simt.h"

#undef __syncthreads
#define __syncthreads()                                                                            \
  (is_left_out("__syncthreads", __FILE__, __LINE__) ? (void)0 : simt_barrier(__FILE__, __LINE__))

/* The launchers of the kernels below, under other names. */
#define kernel_narrow mutant_narrow
#define kernel_narrow_scratch mutant_narrow_scratch
#define kernel_advance_scales mutant_advance_scales
#define kernel_maximum mutant_maximum
#define kernel_turn mutant_turn
#define kernel_layer_norm mutant_layer_norm

#include "cuda/fp8.cu"
#include "cuda/layer_norm.cu"
#include "cuda/kernels.h"

int fp8_mutant_narrow(const ops_rounding *list, size_t count, void *scratch) {
  return mutant_narrow(list, count, scratch, NULL);
}

int fp8_mutant_norm(const ops_layer_norm *n) {
  return mutant_layer_norm(n, NULL);
}

int fp8_mutant_turn(ops_buffer values, ops_buffer turned, int64_t rows, int64_t columns) {
  return mutant_turn(rows, columns, values, turned, NULL);
}

int fp8_mutant_maximum(int64_t count, ops_buffer x, ops_buffer maximum) {
  return mutant_maximum(count, x, maximum, NULL);
}
