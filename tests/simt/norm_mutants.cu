/* Every barrier is a site, so that a test can remove one at a time: each removal must be detected.
 */
#include "simt/norm_mutants.h"

#include "simt/left_out.h"
#include "simt/simt.h"

#undef __syncthreads
#define __syncthreads()                                                                            \
  (is_left_out("__syncthreads", __FILE__, __LINE__) ? (void)0 : simt_barrier(__FILE__, __LINE__))

/* The launchers of the kernels below, under other names. */
#define kernel_layer_norm_gradient mutant_norm
#define kernel_layer_norm_gradient_scratch mutant_norm_scratch
#define kernel_activation mutant_activation
#define kernel_activation_gradient mutant_slope
#define kernel_activation_gradient_sums mutant_slope_sums
#define kernel_activation_gradient_sums_scratch mutant_slope_sums_scratch

#include "cuda/activation.cu"
#include "cuda/layer_norm_gradient.cu"

int norm_mutant_launch(const ops_layer_norm_gradient *n, void *scratch) {
  return mutant_norm(n, scratch, NULL);
}

int slope_mutant_launch(int64_t rows, int64_t columns, ops_buffer pre, ops_buffer c,
                        ops_buffer sums, void *scratch) {
  return mutant_slope_sums(OPS_GELU_TANH, rows, columns, pre, c, sums, (ops_buffer){0}, scratch,
                           NULL);
}
