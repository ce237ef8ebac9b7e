/* Products in AMX's tiles; gemm.c calls them through the table of kernels where they apply. */
#ifndef FLIP_CPU_GEMM_AMX_H
#define FLIP_CPU_GEMM_AMX_H

#include "cpu/kernel.h"

#ifdef __AMX_BF16__
/* Whether a product can be computed here. */
bool CPU_KERNEL(multiplies_in_tiles)(const ops_gemm *g);
/* All of it: bias, epilogue and a_sums. */
err CPU_KERNEL(gemm_in_tiles)(ops *o, const ops_gemm *g) ERR_MUST_CHECK;
#endif

#endif
