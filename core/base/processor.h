/* The compiled variant of performance-critical loops that this processor runs. Such loops are
 * written once and compiled once per instruction-set level (cmake/flip_variants.cmake); at start
 * the best supported variant is selected, or the one named by FLIP_CPU_KERNELS. */
#ifndef FLIP_BASE_PROCESSOR_H
#define FLIP_BASE_PROCESSOR_H

#include "base/err.h"

/* X(symbol suffix, display name), lowest level first. flip_variants.cmake has the flags. */
#if defined __x86_64__
#define PROCESSOR_VARIANTS(X)                                                                      \
  X(v2, "x86-64-v2")                                                                               \
  X(v3, "x86-64-v3")                                                                               \
  X(v4, "x86-64-v4") X(v4_bf16, "x86-64-v4-bf16") X(v4_amx, "x86-64-v4-amx")
#elif defined __aarch64__
#define PROCESSOR_VARIANTS(X) X(neon, "neon")
#else
#define PROCESSOR_VARIANTS(X) X(portable, "portable")
#endif

#define PROCESSOR_ONE(suffix, name) PROCESSOR_##suffix,
enum { PROCESSOR_VARIANTS(PROCESSOR_ONE) PROCESSOR_COUNT };
#undef PROCESSOR_ONE

/* In a source compiled once per variant: the name prefix_SUFFIX_name. */
#define PROCESSOR_JOIN_NAMES(prefix, suffix, name) prefix##_##suffix##_##name
#define PROCESSOR_JOIN(prefix, suffix, name) PROCESSOR_JOIN_NAMES(prefix, suffix, name)
#define PROCESSOR_KERNEL(prefix, name) PROCESSOR_JOIN(prefix, CPU_VARIANT, name)

#define PROCESSOR_VARIABLE "FLIP_CPU_KERNELS"

/* The name of a variant, and whether this processor supports it. */
const char *processor_name(int variant);
bool processor_has(int variant);
/* Whether this processor is known to have products in bf16, faster than those in fp32. */
bool processor_has_bf16(void);

/* The variant to run: the one named by FLIP_CPU_KERNELS if this processor supports it, else the
 * best. */
int processor_variant(void);
/* Whether the variant to run multiplies tiles in bf16. */
bool processor_has_tiles(void);
/* ERR_INPUT if FLIP_CPU_KERNELS names no variant, ERR_UNSUPPORTED if the processor does not support
 * the named variant, or not even the lowest of this build. */
err processor_check(void) ERR_MUST_CHECK;

#endif
