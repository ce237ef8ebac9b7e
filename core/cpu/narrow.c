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

static float largest_of(ops_fp8 format) {
  return format == OPS_E4M3 ? 448.0f : 57344.0f;
}

static float factor_for(ops_fp8 format, float most) {
  const float factor = largest_of(format) / most;
  return most > 0 && factor > 0 && isfinite(factor) ? factor : 1.0f;
}

/* The scale's numbers: of the factor that is given, or of this one. */
static void record_scale(const ops_rounding *r, const uint16_t *from, float most) {
  float *scale = r->to.scale.data;
  const float given = scale[OPS_SCALE_FACTOR], largest = largest_of(r->to.format);
  const int64_t count = r->rows * r->columns;
  int64_t saturated = 0;
  int32_t sum;
  if (!r->is_delayed) {
    scale[OPS_SCALE_MAXIMUM] = most;
    scale[OPS_SCALE_FACTOR] = factor_for(r->to.format, most);
    scale[OPS_SCALE_INVERSE] = 1.0f / scale[OPS_SCALE_FACTOR];
    return;
  }
#pragma omp parallel for schedule(static) reduction(+ : saturated)
  for (int64_t i = 0; i < count; i++) saturated += fabsf(cpu_from_bf16(from[i]) * given) > largest;
  scale[OPS_SCALE_MAXIMUM] = fmaxf(scale[OPS_SCALE_MAXIMUM], most);
  memcpy(&sum, &scale[OPS_SCALE_SATURATED], sizeof sum);
  sum += (int32_t)saturated;
  memcpy(&scale[OPS_SCALE_SATURATED], &sum, sizeof sum);
}

void CPU_KERNEL(round_operand)(const ops_rounding *r, ops_buffer x) {
  const uint16_t *from = x.data;
  const int64_t count = r->rows * r->columns;
  float *scale = r->to.scale.data, most = 0;
#pragma omp parallel for simd schedule(static) reduction(max : most)
  for (int64_t i = 0; i < count; i++) most = fmaxf(most, fabsf(cpu_from_bf16(from[i])));
  record_scale(r, from, most);
  const float factor = scale[OPS_SCALE_FACTOR];
#pragma omp parallel for schedule(static)
  for (int64_t left = 0; left < r->columns; left += SIDE)
    for (int64_t top = 0; top < r->rows; top += SIDE) round_square(r, from, factor, top, left);
}

/* The scale of operand i that all ranks' are merged into, NaN being smaller than everything. */
static void merge_ranks(const ops_scales *s, int64_t i, float *scale, int64_t *beyond) {
  const float *of = (const float *)s->gathered.data + i * OPS_SCALE_FLOATS;
  float most = 0;
  *beyond = 0;
  for (int64_t rank = 0; rank < s->ranks; rank++, of += s->stride) {
    int32_t count;
    memcpy(&count, &of[OPS_SCALE_SATURATED], sizeof count);
    *beyond += count;
    most = fmaxf(most, of[OPS_SCALE_MAXIMUM]);
  }
  scale[OPS_SCALE_MAXIMUM] = most;
}

err CPU_KERNEL(advance_scales)(ops *o, const ops_scales *s) {
  double saturated = 0;
  float *total = s->saturated.data;
  (void)o;
  for (int64_t i = 0; i < s->count; i++) {
    float *scale = (float *)s->scales.data + i * OPS_SCALE_FLOATS;
    float *history = (float *)s->history.data + i * OPS_SCALE_HISTORY, most = 0;
    int64_t beyond;
    merge_ranks(s, i, scale, &beyond);
    memmove(history, history + 1, (OPS_SCALE_HISTORY - 1) * sizeof *history);
    history[OPS_SCALE_HISTORY - 1] = scale[OPS_SCALE_MAXIMUM];
    for (int step = 0; step < OPS_SCALE_HISTORY; step++) most = fmaxf(most, history[step]);
    saturated += (double)beyond;
    scale[OPS_SCALE_MAXIMUM] = scale[OPS_SCALE_SATURATED] = 0;
    scale[OPS_SCALE_FACTOR] = factor_for(i < s->gradients ? OPS_E4M3 : OPS_E5M2, most);
    scale[OPS_SCALE_INVERSE] = 1.0f / scale[OPS_SCALE_FACTOR];
  }
  total[0] = (s->adds ? total[0] : 0) + (float)saturated;
  return NULL;
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
