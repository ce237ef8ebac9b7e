/* Which compiled variant of the measured loops this processor runs. Such loops are written once and
 * compiled once for each level of the instruction set (cmake/flip_variants.cmake); the best that
 * the processor has is taken at start, or the one that FLIP_CPU_KERNELS names. */
#ifndef FLIP_BASE_PROCESSOR_H
#define FLIP_BASE_PROCESSOR_H

#include "base/err.h"

/* X(suffix of the symbols, name for people), the least first. flip_variants.cmake has the flags. */
#if defined __x86_64__
#define PROCESSOR_VARIANTS(X)                                                                      \
  X(v2, "x86-64-v2")                                                                               \
  X(v3, "x86-64-v3") X(v4, "x86-64-v4") X(v4_bf16, "x86-64-v4-bf16")
#elif defined __aarch64__
#define PROCESSOR_VARIANTS(X) X(neon, "neon")
#else
#define PROCESSOR_VARIANTS(X) X(portable, "portable")
#endif

#define PROCESSOR_ONE(suffix, name) PROCESSOR_##suffix,
enum { PROCESSOR_VARIANTS(PROCESSOR_ONE) PROCESSOR_COUNT };
#undef PROCESSOR_ONE

/* In a source that is compiled once a variant: the name prefix_SUFFIX_name. */
#define PROCESSOR_JOIN_NAMES(prefix, suffix, name) prefix##_##suffix##_##name
#define PROCESSOR_JOIN(prefix, suffix, name) PROCESSOR_JOIN_NAMES(prefix, suffix, name)
#define PROCESSOR_KERNEL(prefix, name) PROCESSOR_JOIN(prefix, CPU_VARIANT, name)

#define PROCESSOR_VARIABLE "FLIP_CPU_KERNELS"

/* The name of a variant, and whether this processor runs it. */
const char *processor_name(int variant);
bool processor_has(int variant);

/* The variant to run: FLIP_CPU_KERNELS where that names one that this processor has, else the best.
 */
int processor_variant(void);
/* ERR_INPUT where FLIP_CPU_KERNELS names no variant, ERR_UNSUPPORTED where the processor has not
 * what it names, or not even the least that this build is for. */
err processor_check(void) ERR_MUST_CHECK;

#endif
