/* Shared by the kernels: the files that are compiled once for each variant of base/processor.h.
 *
 * Only names made by CPU_KERNEL may be visible outside their file, and headers may contain only
 * static inline functions: two variants' code under one name would crash on the older processor. */
#ifndef FLIP_CPU_KERNEL_H
#define FLIP_CPU_KERNEL_H

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include "base/processor.h"
#include "cpu/cpu.h"

#define CPU_KERNEL(name) PROCESSOR_KERNEL(cpu, name)

err CPU_KERNEL(layer_norm)(ops *o, const ops_layer_norm *n);
err CPU_KERNEL(layer_norm_gradient)(ops *o, const ops_layer_norm_gradient *n);
err CPU_KERNEL(attention)(ops *o, const ops_attention *a);
err CPU_KERNEL(attention_gradient)(ops *o, const ops_attention *a);
err CPU_KERNEL(attended)(ops *o, const ops_attended *a);
err CPU_KERNEL(patches)(ops *o, const ops_patches *p);
err CPU_KERNEL(assemble)(ops *o, const ops_assemble *a);
err CPU_KERNEL(assemble_gradient)(ops *o, const ops_assemble *a);
err CPU_KERNEL(embed)(ops *o, const ops_embed *e);
err CPU_KERNEL(embed_gradient)(ops *o, const ops_embed *e);
err CPU_KERNEL(pool)(ops *o, const ops_pool *p);
err CPU_KERNEL(pool_gradient)(ops *o, const ops_pool *p);
err CPU_KERNEL(dropout)(ops *o, const ops_dropout *d);
err CPU_KERNEL(normalize)(ops *o, const ops_normalize *n);
err CPU_KERNEL(normalize_gradient)(ops *o, const ops_normalize *n);
err CPU_KERNEL(contrastive_statistics)(ops *o, const ops_contrastive *c);
err CPU_KERNEL(contrastive_gradient)(ops *o, const ops_contrastive *c);
err CPU_KERNEL(contrastive_finish)(ops *o, const ops_contrastive_end *c);
err CPU_KERNEL(pixel_error)(ops *o, const ops_pixel_error *p);
err CPU_KERNEL(sum_squares)(ops *o, int64_t count, ops_buffer x, ops_buffer out);
err CPU_KERNEL(sum_square_blocks)(ops *o, int64_t count, ops_buffer x, ops_buffer out);
err CPU_KERNEL(sum)(ops *o, int64_t count, ops_buffer x, ops_buffer out);
err CPU_KERNEL(adamw)(ops *o, const ops_adamw *a);
err CPU_KERNEL(average)(ops *o, int64_t count, ops_buffer x, ops_buffer average, double momentum);
err CPU_KERNEL(fill)(ops *o, int64_t count, ops_buffer x, double value);
err CPU_KERNEL(cast)(ops *o, int64_t count, ops_buffer from, ops_buffer to);
err CPU_KERNEL(activate)(ops *o, const ops_activate *a);
void CPU_KERNEL(activate_gradient)(const ops_gemm *g);
err CPU_KERNEL(add_sums)(ops *o, const ops_gemm *g);
void CPU_KERNEL(round_operand)(const ops_rounding *r, ops_buffer x);
err CPU_KERNEL(advance_scales)(ops *o, const ops_scales *s);
void CPU_KERNEL(widen_operand)(ops_fp8 format, const uint8_t *from, int64_t count, uint16_t *to);
void CPU_KERNEL(finish_narrow)(const ops_gemm *g, const float *product, float inverse,
                               ops_buffer target);

/* `count` elements from offset `at` as floats: the memory itself if fp32, else widened to `own`. */
static inline const float *cpu_read(ops_buffer b, int64_t at, int64_t count, float *own) {
  if (b.type == OPS_F32) return (const float *)b.data + at;
  const uint16_t *from = (const uint16_t *)b.data + at;
  for (int64_t i = 0; i < count; i++) own[i] = cpu_from_bf16(from[i]);
  return own;
}

/* Output address for floats that belong at offset `at`; cpu_written then narrows them if needed. */
static inline float *cpu_write(ops_buffer b, int64_t at, float *own) {
  return b.type == OPS_F32 ? (float *)b.data + at : own;
}

static inline void cpu_written(ops_buffer b, int64_t at, int64_t count, const float *own) {
  if (b.type == OPS_F32) return;
  uint16_t *to = (uint16_t *)b.data + at;
  int64_t i = 0;
#ifdef __AVX512BF16__
  for (; i + 16 <= count; i += 16) { /* the same rounding in one instruction */
    __m256bh narrow = _mm512_cvtneps_pbh(_mm512_loadu_ps(own + i));
    memcpy(to + i, &narrow, sizeof narrow);
  }
#endif
  for (; i < count; i++) to[i] = cpu_to_bf16(own[i]);
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
  /* the integer is in the low bits of the shifted float; it is moved into the exponent */
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

#endif
