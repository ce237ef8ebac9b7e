/* What the files of the CPU backend share. Included by nobody outside core/cpu/. */
#ifndef FLIP_CPU_CPU_H
#define FLIP_CPU_CPU_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "ops/ops.h"

/* Reductions over rows are cut into this many blocks whatever the thread count, and the blocks'
 * sums are added in order: the same bits for any number of threads. */
enum { CPU_BLOCKS = 32 };

typedef struct gemm_cache gemm_cache; /* gemm.c */

typedef struct {
  gemm_cache *gemms;
  float *scratch; /* shared by the threads of one op; see cpu_scratch */
  size_t scratch_floats;
  bool is_narrow; /* dense layers in emulated 8 bits (gemm_narrow.c) */
  void *narrow;   /* their operands */
  size_t narrow_bytes;
} cpu_state;

static inline cpu_state *cpu_of(ops *o) {
  return o->state;
}

/* At least `floats` floats of scratch, grown when a shape is first seen; contents undefined. */
err cpu_scratch(ops *o, size_t floats, float **scratch) ERR_MUST_CHECK;

/* Aborts: a broken promise between model and backend, never the user's mistake. */
void cpu_assert_failed(const char *condition, const char *file, int line);
#define CPU_ASSERT(condition)                                                                      \
  ((condition) ? (void)0 : cpu_assert_failed(#condition, __FILE__, __LINE__))

err gemm_cache_create(gemm_cache **cache) ERR_MUST_CHECK;
void gemm_cache_destroy(gemm_cache *cache);

err cpu_gemm(ops *o, const ops_gemm *g);
/* The product and bias of g in emulated 8 bits, into `target`; the rest of g is the caller's. */
bool cpu_can_narrow(ops *o, const ops_gemm *g);
err cpu_gemm_narrow(ops *o, const ops_gemm *g, ops_buffer target) ERR_MUST_CHECK;
/* The nearest value of an 8-bit float (OFP8, 2023), ties to even, saturating; NaN stays NaN. */
typedef enum { CPU_E4M3, CPU_E5M2 } cpu_fp8;
float cpu_round_fp8(cpu_fp8 format, float value);
err cpu_layer_norm(ops *o, const ops_layer_norm *n);
err cpu_layer_norm_gradient(ops *o, const ops_layer_norm_gradient *n);
err cpu_attention(ops *o, const ops_attention *a);
err cpu_attention_gradient(ops *o, const ops_attention *a);
err cpu_patches(ops *o, const ops_patches *p);
err cpu_assemble(ops *o, const ops_assemble *a);
err cpu_assemble_gradient(ops *o, const ops_assemble *a);
err cpu_embed(ops *o, const ops_embed *e);
err cpu_embed_gradient(ops *o, const ops_embed *e);
err cpu_pool(ops *o, const ops_pool *p);
err cpu_pool_gradient(ops *o, const ops_pool *p);
err cpu_dropout(ops *o, const ops_dropout *d);
err cpu_normalize(ops *o, const ops_normalize *n);
err cpu_normalize_gradient(ops *o, const ops_normalize *n);
err cpu_contrastive_statistics(ops *o, const ops_contrastive *c);
err cpu_contrastive_gradient(ops *o, const ops_contrastive *c);
err cpu_contrastive_finish(ops *o, const ops_contrastive_end *c);
err cpu_sum_squares(ops *o, int64_t count, ops_buffer x, ops_buffer out);
err cpu_adamw(ops *o, const ops_adamw *a);
err cpu_fill(ops *o, int64_t count, ops_buffer x, double value);
err cpu_cast(ops *o, int64_t count, ops_buffer from, ops_buffer to);

/* c = act(pre), or c *= act'(pre), over `count` elements (activation.c). */
err cpu_activate(ops *o, const ops_activate *a);
void cpu_activate_gradient(ops *o, ops_activation activation, int64_t count, ops_buffer pre,
                           ops_buffer c);

static inline float cpu_from_bf16(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, 4);
  return value;
}

/* Round to nearest, ties to even; NaN stays NaN. */
static inline uint16_t cpu_to_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
  uint32_t nan = bits >> 16 | 0x40u;
  return (uint16_t)((bits & 0x7FFFFFFFu) > 0x7F800000u ? nan : rounded);
}

/* `count` elements from offset `at` as floats: the memory itself if fp32, else widened to `own`. */
static inline const float *cpu_read(ops_buffer b, int64_t at, int64_t count, float *own) {
  if (b.type == OPS_F32) return (const float *)b.data + at;
  const uint16_t *from = (const uint16_t *)b.data + at;
  for (int64_t i = 0; i < count; i++) own[i] = cpu_from_bf16(from[i]);
  return own;
}

/* Where to write floats that belong at offset `at`; cpu_written then narrows them if need be. */
static inline float *cpu_write(ops_buffer b, int64_t at, float *own) {
  return b.type == OPS_F32 ? (float *)b.data + at : own;
}

static inline void cpu_written(ops_buffer b, int64_t at, int64_t count, const float *own) {
  if (b.type == OPS_F32) return;
  uint16_t *to = (uint16_t *)b.data + at;
  for (int64_t i = 0; i < count; i++) to[i] = cpu_to_bf16(own[i]);
}

/* exp to 2 ulp on [-87, 88], clamped outside; written so that the compiler vectorises it. */
static inline float cpu_exp(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
  float shifted = x * 1.44269504f + magic;
  int32_t bits;
  memcpy(&bits, &shifted, 4);
  float n = shifted - magic;
  float r = x - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  /* the integer sits in the low bits of the shifted float; it goes into the exponent */
  uint32_t scale_bits = (uint32_t)(bits + 127) << 23;
  float scale;
  memcpy(&scale, &scale_bits, 4);
  return p * scale;
}

/* The part of `count` that block `block` of CPU_BLOCKS has. */
static inline void cpu_block(int64_t count, int64_t block, int64_t *start, int64_t *end) {
  *start = count * block / CPU_BLOCKS;
  *end = count * (block + 1) / CPU_BLOCKS;
}

static inline float *cpu_f32(ops_buffer b) {
  return b.data;
}

#endif
