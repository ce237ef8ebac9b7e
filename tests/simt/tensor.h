/* One tensor-core product, for the test of the shim's twin of these instructions. */
#ifndef FLIP_SIMT_TENSOR_H
#define FLIP_SIMT_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

/* d [16,16] = 1 + a b, of bf16 a and b [16,16]. Transposed: a is stored as [k, row]; b as
 * [k, column], else as [column, k], which is how the instruction wants it. */
int tensor_launch(const uint16_t *a, const uint16_t *b, float *d, bool is_a_transposed,
                  bool is_b_transposed);

#endif
