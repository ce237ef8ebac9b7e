/* Dense layers in emulated 8-bit floats: operands are rounded to 8 bits, and a product is computed
 * in bf16, which represents the rounded values exactly, with sums in fp32. The definition is that
 * of a GPU (core/cuda/fp8.cu): each operand scaled by its own maximum, e4m3, gradients e5m2. For
 * measuring the accuracy cost of 8 bits, not for speed. */
#include "base/mem.h"
#include "cpu/cpu.h"

/* The values that are rounded: x, or its activation in scratch. */
static err source_of(ops *o, const ops_rounding *r, ops_buffer *x) {
  cpu_state *state = cpu_of(o);
  const int64_t count = r->rows * r->columns;
  *x = r->x;
  if (!r->is_activated) return NULL;
  err error = cpu_grow(&state->narrow, &state->narrow_bytes, (size_t)count * 2, "8-bit operands");
  *x = (ops_buffer){state->narrow, OPS_BF16};
  const ops_activate activate = {r->activation, count, r->x, *x};
  return error ? error : state->kernels->ops.activate(o, &activate);
}

err cpu_narrow(ops *o, const ops_rounding *list, size_t count) {
  err error = NULL;
  for (size_t i = 0; i < count && !error; i++) {
    ops_buffer x;
    CPU_ASSERT(list[i].x.type == OPS_BF16 && list[i].to.scale.data && !list[i].pre.data);
    error = source_of(o, &list[i], &x);
    if (!error) cpu_of(o)->kernels->round_operand(&list[i], x);
  }
  return error;
}

err cpu_gemm_narrow(ops *o, const ops_gemm *g, ops_buffer target) {
  cpu_state *state = cpu_of(o);
  const cpu_kernels *kernels = state->kernels;
  const int64_t count_a = g->m * g->k, count_b = g->n * g->k;
  const ops_narrow *a8 = &g->narrow_a, *b8 = &g->narrow_b;
  const ops_buffer from_a = g->transpose_a ? a8->turned : a8->values;
  const ops_buffer from_b = g->transpose_b ? b8->values : b8->turned;
  size_t of_a = mem_rounded((size_t)count_a * 2), of_b = mem_rounded((size_t)count_b * 2);
  size_t bytes = of_a + of_b + (size_t)(g->m * g->n) * sizeof(float);
  CPU_ASSERT(from_a.data && from_b.data && g->m % OPS_NARROW_MULTIPLE == 0 &&
             g->n % OPS_NARROW_MULTIPLE == 0 && g->k % OPS_NARROW_MULTIPLE == 0);
  err error = cpu_grow(&state->narrow, &state->narrow_bytes, bytes, "8-bit operands");
  if (error) return error;
  uint16_t *a = state->narrow, *b = (uint16_t *)((char *)state->narrow + of_a);
  float *product = (float *)((char *)state->narrow + of_a + of_b);
  kernels->widen_operand(a8->format, from_a.data, count_a, a);
  kernels->widen_operand(b8->format, from_b.data, count_b, b);
  float inverse = cpu_f32(a8->scale)[OPS_SCALE_INVERSE] * cpu_f32(b8->scale)[OPS_SCALE_INVERSE];
  const ops_gemm wide = {.m = g->m,
                         .n = g->n,
                         .k = g->k,
                         .transpose_b = true,
                         .a = {a, OPS_BF16},
                         .b = {b, OPS_BF16},
                         .c = {product, OPS_F32}};
  error = cpu_gemm(o, &wide);
  if (!error) kernels->finish_narrow(g, product, inverse, target);
  return error;
}
