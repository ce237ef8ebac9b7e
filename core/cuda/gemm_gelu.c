/* Determines by a test run which GELU cuBLASLt's epilogue computes. */
#include <math.h>
#include <string.h>

#include "cuda/gemm.h"

enum { LOOK_M = 8, LOOK_N = 64, LOOK_K = 8 };

/* -4, -3.875 … 3.875: exact in bf16. */
static double looked_at(int i) {
  return (double)(i - LOOK_N / 2) / 8;
}

/* Does every row of c equal the tanh form of GELU of the columns' numbers, to the precision of the
 * type? The exact form differs by up to 5e-4, mostly where bf16 is finer than that. */
static bool is_tanh_gelu(const void *c, ops_type type) {
  double coarseness = type == OPS_BF16 ? 1.0 / 256 : 0;
  for (size_t i = 0; i < LOOK_M * LOOK_N; i++) {
    float value;
    if (type == OPS_BF16) {
      uint32_t bits = (uint32_t)((const uint16_t *)c)[i] << 16;
      memcpy(&value, &bits, sizeof value);
    } else {
      value = ((const float *)c)[i];
    }
    double x = looked_at((int)i % LOOK_N), inner = 0.7978845608028654 * (x + 0.044715 * x * x * x);
    double wanted = 0.5 * x * (1 + tanh(inner));
    if (!(fabs((double)value - wanted) <= coarseness * fabs(wanted) + 5e-5)) return false;
  }
  return true;
}

static err run_with_gelu(ops *o, const gemm_product *p, bool *is_there) {
  const gemm_key key = gemm_key_of(o, p);
  gemm_plan plan;
  double seconds;
  err error = gemm_try_form(o, &key, GEMM_ACTIVATION, p, &plan, is_there, &seconds);
  if (error || !*is_there) return error;
  error = gemm_run(o, &plan, p);
  gemm_free_plan(&plan);
  return error;
}

/* Which GELU the library's epilogue computes is not documented for every version, so it is
 * measured, in the type of the run, on a product whose result is -4 … 4. If it differs or is
 * missing, our own kernel computes the activations. */
err gemm_look_at_gelu(ops *o) {
  enum { ELEMENTS_AB = LOOK_K * (LOOK_M + LOOK_N), ELEMENTS_C = LOOK_M * LOOK_N };
  size_t size = ops_size_of(o->compute);
  float numbers[ELEMENTS_AB] = {0};
  float c[ELEMENTS_C]; /* or bf16 */
  char *block = NULL, *given = NULL;
  bool is_there = false;
  for (int i = 0; i < LOOK_M; i++) numbers[i * LOOK_K] = 1;
  for (int i = 0; i < LOOK_N; i++) numbers[LOOK_M * LOOK_K + i] = (float)looked_at(i);
  err error = NULL;
  TRY(cuda_allocate(o, sizeof numbers, "a look at GELU", (void **)&given));
  TRY(cuda_allocate(o, (ELEMENTS_AB + 2 * ELEMENTS_C) * size, "a look at GELU", (void **)&block));
  TRY(cuda_upload(o, given, numbers, sizeof numbers));
  ops_buffer all = {block, o->compute};
  TRY(o->call->cast(o, ELEMENTS_AB, (ops_buffer){given, OPS_F32}, all));
  const gemm_product p = {.g = {.m = LOOK_M,
                                .n = LOOK_N,
                                .k = LOOK_K,
                                .a = all,
                                .b = ops_at(all, LOOK_M * LOOK_K),
                                .c = ops_at(all, ELEMENTS_AB),
                                .epilogue = OPS_EPILOGUE_ACTIVATION,
                                .activation = OPS_GELU_TANH,
                                .pre = ops_at(all, ELEMENTS_AB + ELEMENTS_C)},
                          .type_a = gemm_type(o->compute),
                          .type_b = gemm_type(o->compute)};
  TRY(run_with_gelu(o, &p, &is_there));
  TRY(cuda_download(o, c, p.g.c.data, ELEMENTS_C * size));
  cuda_of(o)->gemms->has_tanh_gelu = is_there && is_tanh_gelu(c, o->compute);
cleanup:
  if (given) cuda_release(o, given);
  if (block) cuda_release(o, block);
  return error;
}
