/* Attention in AMX's tiles; attention.c calls it where it applies. */
#ifndef FLIP_CPU_ATTENTION_AMX_H
#define FLIP_CPU_ATTENTION_AMX_H

#include "cpu/kernel.h"

#ifdef __AMX_BF16__
/* Whether a shape has a kernel here: bf16, heads of a multiple of 32, not more tokens than memory
 * for all scores of a head is worth. The same for both directions. */
bool CPU_KERNEL(attends_in_tiles)(const ops_attention *a);
err CPU_KERNEL(attention_in_tiles)(ops *o, const ops_attention *a) ERR_MUST_CHECK;
err CPU_KERNEL(attention_gradient_in_tiles)(ops *o, const ops_attention *a) ERR_MUST_CHECK;
#endif

#endif
