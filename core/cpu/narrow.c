/* The loops of emulated 8-bit products (gemm_narrow.c). Bound: the integer work of rounding. */
#include "cpu/kernel.h"

enum { SIDE = 64 }; /* of the squares in which a matrix is turned: both sides stay in the cache */

/* The square at (top, left): its values, and turned. */
static void round_square(const ops_rounding *r, const uint16_t *from, float factor, int64_t top,
                         int64_t left) {
  const cpu_fp8 format = r->to.format == OPS_E4M3 ? CPU_E4M3 : CPU_E5M2;
  const int64_t end = top + SIDE < r->rows ? top + SIDE : r->rows;
  const int64_t count = left + SIDE < r->columns ? SIDE : r->columns - left;
  uint8_t *values = r->to.values.data, *turned = r->to.turned.data, own[SIDE];
  for (int64_t row = top; row < end; row++) {
    uint8_t *to = values ? values + row * r->columns + left : own;
    const uint16_t *x = from + row * r->columns + left;
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
      to[i] = cpu_code_fp8(format, cpu_round_fp8(format, cpu_from_bf16(x[i]) * factor));
    for (int64_t i = 0; i < count && turned; i++) turned[(left + i) * r->rows + row] = to[i];
  }
}

void CPU_KERNEL(round_operand)(const ops_rounding *r, ops_buffer x) {
  const uint16_t *from = x.data;
  const int64_t count = r->rows * r->columns;
  float *scale = r->to.scale.data;
  float most = 0, largest = r->to.format == OPS_E4M3 ? 448.0f : 57344.0f;
#pragma omp parallel for simd schedule(static) reduction(max : most)
  for (int64_t i = 0; i < count; i++) most = fmaxf(most, fabsf(cpu_from_bf16(from[i])));
  const float wanted = largest / most;
  const float factor = most > 0 && wanted > 0 && isfinite(wanted) ? wanted : 1.0f;
  scale[OPS_SCALE_MAXIMUM] = most;
  scale[OPS_SCALE_FACTOR] = factor;
  scale[OPS_SCALE_INVERSE] = 1.0f / factor;
#pragma omp parallel for schedule(static)
  for (int64_t left = 0; left < r->columns; left += SIDE)
    for (int64_t top = 0; top < r->rows; top += SIDE) round_square(r, from, factor, top, left);
}

void CPU_KERNEL(widen_operand)(ops_fp8 format, const uint8_t *from, int64_t count, uint16_t *to) {
  uint16_t values[256];
  for (int code = 0; code < 256; code++)
    values[code] =
        cpu_to_bf16(cpu_fp8_value(format == OPS_E4M3 ? CPU_E4M3 : CPU_E5M2, (uint8_t)code));
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i++) to[i] = values[from[i]];
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
