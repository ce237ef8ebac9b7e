/* Shared by the files of the CPU backend. Internal to core/cpu/.
 *
 * Memory, oneDNN's products and the selection of kernels are compiled once, for the baseline
 * processor; the kernels (kernel.h) once for each variant of base/processor.h. */
#ifndef FLIP_CPU_CPU_H
#define FLIP_CPU_CPU_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/bf16.h"
#include "base/err.h"
#include "cpu/fp8.h"
#include "ops/ops.h"

/* Reductions over rows are divided into this many blocks for any thread count, and the blocks' sums
 * are added in order: the same bits for any number of threads. */
enum { CPU_BLOCKS = 32 };

typedef struct gemm_cache gemm_cache; /* gemm.c */

/* The kernels of one variant (table.c). */
typedef struct {
  ops_table ops; /* all operations except products */
  /* c *= act'(pre) over all of c; activated, if present, = act(pre). */
  void (*activate_gradient)(const ops_gemm *g);
  /* g->a_sums [m] += sum over k of op(a). For a bias gradient: a is stored [k, m]. */
  err (*add_sums)(ops *o, const ops_gemm *g);
  /* Products of our own, or NULL: whether gemm_in_tiles can compute one, all of it. */
  bool (*multiplies_in_tiles)(const ops_gemm *g);
  err (*gemm_in_tiles)(ops *o, const ops_gemm *g);
  /* ops_table.narrow of one matrix, whose values are in x. */
  void (*round_operand)(const ops_rounding *r, ops_buffer x);
  /* to [count] bf16 = the numbers of 8-bit codes, exactly. */
  void (*widen_operand)(ops_fp8 format, const uint8_t *from, int64_t count, uint16_t *to);
  /* target [m,n] = product * inverse + bias, or += it, rounded to the target's type. */
  void (*finish_narrow)(const ops_gemm *g, const float *product, float inverse, ops_buffer target);
} cpu_kernels;

typedef struct {
  const cpu_kernels *kernels;
  ops_table table; /* the kernels' operations, and the backend's own */
  gemm_cache *gemms;
  float *scratch; /* shared by the threads of one op; see cpu_scratch */
  size_t scratch_floats;
  void *narrow; /* operands of emulated 8-bit products (gemm_narrow.c) */
  size_t narrow_bytes;
  bool lacks_bf16; /* oneDNN has no bf16 products for this processor: they are computed in fp32 */
  void *widened;   /* on operands widened into this */
  size_t widened_bytes;
} cpu_state;

static inline cpu_state *cpu_of(ops *o) {
  return o->state;
}

/* At least `floats` floats of scratch, grown when a shape is first seen; contents undefined. */
err cpu_scratch(ops *o, size_t floats, float **scratch) ERR_MUST_CHECK;

/* *block with at least `bytes`, grown when need be; contents undefined. */
err cpu_grow(void **block, size_t *held, size_t bytes, const char *what) ERR_MUST_CHECK;

/* Aborts: a violated contract between model and backend, never a user error. */
void cpu_assert_failed(const char *condition, const char *file, int line);
#define CPU_ASSERT(condition)                                                                      \
  ((condition) ? (void)0 : cpu_assert_failed(#condition, __FILE__, __LINE__))

err gemm_cache_create(gemm_cache **cache) ERR_MUST_CHECK;
void gemm_cache_destroy(gemm_cache *cache);
/* oneDNN's, "2.7.2". */
void gemm_library_version(char *version, size_t size);
/* The instruction set that oneDNN chose for this processor: avx2, avx512_core_amx, … */
void gemm_library_isa(char *isa, size_t size);

err cpu_gemm(ops *o, const ops_gemm *g);
err cpu_narrow(ops *o, const ops_rounding *list, size_t count);
/* The product and bias of g in emulated 8 bits, into `target`; the rest of g is the caller's. */
err cpu_gemm_narrow(ops *o, const ops_gemm *g, ops_buffer target) ERR_MUST_CHECK;

static inline float cpu_from_bf16(uint16_t bits) {
  return bf16_to_float(bits);
}

static inline uint16_t cpu_to_bf16(float value) {
  return bf16_of_float(value);
}

static inline float *cpu_f32(ops_buffer b) {
  return b.data;
}

#endif
