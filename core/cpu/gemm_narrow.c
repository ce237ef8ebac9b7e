/* Dense layers in 8-bit floats, emulated: operands are rounded to the values that an 8-bit product
 * would see, then multiplied in bf16, which holds those values exactly. The same rule as on a GPU
 * (core/cuda/gemm_narrow.c): each operand scaled by its own largest value, e4m3, gradients e5m2,
 * sums in fp32. For the accuracy that 8 bits cost, not for speed. */
#include <stdlib.h>

#include "base/mem.h"
#include "cpu/cpu.h"

enum { NARROW_MULTIPLE = 16 }; /* what a GPU's 8-bit products ask of sizes */

bool cpu_can_narrow(ops *o, const ops_gemm *g) {
  return cpu_of(o)->is_narrow && g->may_narrow && g->a.type == OPS_BF16 &&
         g->m % NARROW_MULTIPLE == 0 && g->n % NARROW_MULTIPLE == 0 && g->k % NARROW_MULTIPLE == 0;
}

float cpu_round_fp8(cpu_fp8 format, float value) {
  const int shift = format == CPU_E4M3 ? 20 : 21; /* bits of a float's mantissa that go */
  const float largest = format == CPU_E4M3 ? 448.0f : 57344.0f;
  const float least = format == CPU_E4M3 ? 0x1p-6f : 0x1p-14f; /* the least normal number */
  const float units = format == CPU_E4M3 ? 0x1p14f : 0x1p7f;   /* 2^23 of the steps below it */
  float size = fabsf(value), normal, small = (size + units) - units;
  uint32_t bits;
  memcpy(&bits, &size, 4);
  bits += (1u << (shift - 1)) - 1 + (bits >> shift & 1); /* to nearest, ties to even */
  bits &= ~((1u << shift) - 1);
  memcpy(&normal, &bits, 4);
  float rounded = size < least ? small : normal;
  rounded = size >= largest ? largest : rounded;
  return value != value ? value : copysignf(rounded, value);
}

/* to [count] bf16 = fp8(x * scale); returns 1 / scale. */
static float round_operand(cpu_fp8 format, ops_buffer x, int64_t count, uint16_t *to) {
  const uint16_t *from = x.data;
  float most = 0, largest = format == CPU_E4M3 ? 448.0f : 57344.0f;
#pragma omp parallel for simd schedule(static) reduction(max : most)
  for (int64_t i = 0; i < count; i++) most = fmaxf(most, fabsf(cpu_from_bf16(from[i])));
  float scale = most > 0 && isfinite(most) ? largest / most : 1.0f;
#pragma omp parallel for simd schedule(static)
  for (int64_t i = 0; i < count; i++)
    to[i] = cpu_to_bf16(cpu_round_fp8(format, cpu_from_bf16(from[i]) * scale));
  return 1.0f / scale;
}

/* target = product * inverse + bias, or += it, rounded to the target's type. */
static void finish(const ops_gemm *g, const float *product, float inverse, ops_buffer target) {
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < g->m; row++) {
    const float *bias = g->bias.data;
    for (int64_t column = 0; column < g->n; column++) {
      int64_t at = row * g->n + column;
      float value = product[at] * inverse + (bias ? bias[column] : 0.0f);
      if (g->accumulate)
        ((float *)target.data)[at] += value;
      else if (target.type == OPS_F32)
        ((float *)target.data)[at] = value;
      else
        ((uint16_t *)target.data)[at] = cpu_to_bf16(value);
    }
  }
}

static err grow(cpu_state *state, size_t bytes) {
  if (bytes <= state->narrow_bytes) return NULL;
  void *larger = mem_aligned(bytes);
  if (!larger) return mem_error(bytes, "8-bit operands");
  free(state->narrow);
  state->narrow = larger;
  state->narrow_bytes = bytes;
  return NULL;
}

err cpu_gemm_narrow(ops *o, const ops_gemm *g, ops_buffer target) {
  cpu_state *state = cpu_of(o);
  size_t of_a = mem_rounded((size_t)(g->m * g->k) * 2),
         of_b = mem_rounded((size_t)(g->n * g->k) * 2);
  err error = grow(state, of_a + of_b + (size_t)(g->m * g->n) * sizeof(float));
  if (error) return error;
  uint16_t *a = state->narrow, *b = (uint16_t *)((char *)state->narrow + of_a);
  float *product = (float *)((char *)state->narrow + of_a + of_b);
  bool is_gradient = g->accumulate || !g->transpose_b;
  float inverse = round_operand(is_gradient ? CPU_E5M2 : CPU_E4M3, g->a, g->m * g->k, a) *
                  round_operand(CPU_E4M3, g->b, g->n * g->k, b);
  const ops_gemm wide = {.m = g->m,
                         .n = g->n,
                         .k = g->k,
                         .transpose_a = g->transpose_a,
                         .transpose_b = g->transpose_b,
                         .a = {a, OPS_BF16},
                         .b = {b, OPS_BF16},
                         .c = {product, OPS_F32}};
  error = cpu_gemm(o, &wide);
  if (!error) finish(g, product, inverse, target);
  return error;
}
