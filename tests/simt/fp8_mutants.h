/* The kernels that round operands of 8-bit products, from which one barrier can be removed. */
#ifndef FLIP_SIMT_FP8_MUTANTS_H
#define FLIP_SIMT_FP8_MUTANTS_H

#include "ops/ops.h"

/* As kernel_narrow, kernel_layer_norm, kernel_turn and kernel_maximum. */
int fp8_mutant_narrow(const ops_rounding *list, size_t count, void *scratch);
int fp8_mutant_norm(const ops_layer_norm *n);
int fp8_mutant_turn(ops_buffer values, ops_buffer turned, int64_t rows, int64_t columns);
int fp8_mutant_maximum(int64_t count, ops_buffer x, ops_buffer maximum);

#endif
