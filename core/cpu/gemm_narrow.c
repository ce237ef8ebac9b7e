/* Dense layers in emulated 8-bit floats: operands are rounded to the values that an 8-bit product
 * would use, then multiplied in bf16, which represents those values exactly. The same rule as on a
 * GPU (core/cuda/gemm_narrow.c): each operand scaled by its own maximum, e4m3, gradients e5m2, sums
 * in fp32. For measuring the accuracy cost of 8 bits, not for speed. */
#include "base/mem.h"
#include "cpu/cpu.h"

enum { NARROW_MULTIPLE = 16 }; /* the alignment of sizes that a GPU's 8-bit products require */

bool cpu_can_narrow(ops *o, const ops_gemm *g) {
  return cpu_of(o)->is_narrow && g->may_narrow && g->a.type == OPS_BF16 &&
         g->m % NARROW_MULTIPLE == 0 && g->n % NARROW_MULTIPLE == 0 && g->k % NARROW_MULTIPLE == 0;
}

err cpu_gemm_narrow(ops *o, const ops_gemm *g, ops_buffer target) {
  cpu_state *state = cpu_of(o);
  size_t of_a = mem_rounded((size_t)(g->m * g->k) * 2),
         of_b = mem_rounded((size_t)(g->n * g->k) * 2);
  size_t bytes = of_a + of_b + (size_t)(g->m * g->n) * sizeof(float);
  err error = cpu_grow(&state->narrow, &state->narrow_bytes, bytes, "8-bit operands");
  if (error) return error;
  uint16_t *a = state->narrow, *b = (uint16_t *)((char *)state->narrow + of_a);
  float *product = (float *)((char *)state->narrow + of_a + of_b);
  bool is_gradient = g->accumulate || !g->transpose_b;
  const cpu_kernels *kernels = state->kernels;
  cpu_fp8 format = is_gradient ? CPU_E5M2 : CPU_E4M3;
  float inverse = kernels->round_operand(format, g->a, g->m * g->k, a) *
                  kernels->round_operand(CPU_E4M3, g->b, g->n * g->k, b);
  const ops_gemm wide = {.m = g->m,
                         .n = g->n,
                         .k = g->k,
                         .transpose_a = g->transpose_a,
                         .transpose_b = g->transpose_b,
                         .a = {a, OPS_BF16},
                         .b = {b, OPS_BF16},
                         .c = {product, OPS_F32}};
  error = cpu_gemm(o, &wide);
  if (!error) kernels->finish_narrow(g, product, inverse, target);
  return error;
}
