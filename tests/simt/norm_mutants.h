/* The kernels of layer norm's gradient and of the sums over rows, from which one barrier can be
 * removed. */
#ifndef FLIP_SIMT_NORM_MUTANTS_H
#define FLIP_SIMT_NORM_MUTANTS_H

#include "ops/ops.h"

/* As kernel_layer_norm_gradient and kernel_activation_gradient_sums. */
int norm_mutant_launch(const ops_layer_norm_gradient *n, void *scratch);
int slope_mutant_launch(int64_t rows, int64_t columns, ops_buffer pre, ops_buffer c,
                        ops_buffer sums, void *scratch);

#endif
