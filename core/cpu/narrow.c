/* The loops of emulated 8-bit products (gemm_narrow.c). Bound: the integer work of rounding. */
#include "cpu/kernel.h"

float CPU_KERNEL(round_operand)(cpu_fp8 format, ops_buffer x, int64_t count, uint16_t *to) {
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

void CPU_KERNEL(finish_narrow)(const ops_gemm *g, const float *product, float inverse,
                               ops_buffer target) {
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
