/* The attention kernels for short sequences, with one barrier or wait removed at a time. */
#ifndef FLIP_SIMT_ATTENTION_MUTANTS_H
#define FLIP_SIMT_ATTENTION_MUTANTS_H

#include "ops/ops.h"

/* As kernel_attention and its gradient do for these kernels; parts [batch, 3, heads, head_width].
 */
int attention_mutant_launch(const ops_attention *a, float *parts, bool is_backward);

#endif
