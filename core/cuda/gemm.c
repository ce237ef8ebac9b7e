#include "cuda/gemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cuda/kernels.h"

size_t gemm_library_version(void) {
  return cublasLtGetVersion();
}

static cudaDataType_t library_type(ops_type type) {
  return type == OPS_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static gemm_key key_of(ops *o, const ops_gemm *g, const gemm_types *types) {
  gemm_key key;
  size_t out = ops_size_of(g->c.type), in = types->scale_a ? 1 : ops_size_of(g->a.type);
  size_t row_a = (size_t)(g->transpose_a ? g->m : g->k) * in;
  size_t row_b = (size_t)(g->transpose_b ? g->k : g->n) * in;
  memset(&key, 0, sizeof key);
  key.kind = CHOICE_GEMM;
  key.m = g->m;
  key.n = g->n;
  key.k = g->k;
  key.type_a = types->type_a;
  key.type_b = types->type_b;
  key.type_c = library_type(g->c.type);
  key.transpose_a = g->transpose_a;
  key.transpose_b = g->transpose_b;
  key.accumulate = g->accumulate;
  key.has_bias = g->bias.data != NULL;
  key.has_sums = g->a_sums.data != NULL;
  key.epilogue = g->epilogue;
  key.activation = g->epilogue == OPS_EPILOGUE_NONE ? 0 : g->activation;
  key.is_aligned = cuda_is_at_16(g->a.data) && cuda_is_at_16(g->b.data) &&
                   cuda_is_at_16(g->c.data) && cuda_is_at_16(g->pre.data) &&
                   cuda_is_at_16(g->bias.data) && row_a % 16 == 0 && row_b % 16 == 0 &&
                   (size_t)g->n * out % 16 == 0;
  key.is_deterministic = cuda_of(o)->request.is_deterministic;
  return key;
}

/* The bias's copy, the library's sums, and what our column sums need. */
size_t gemm_scratch_bytes(const ops_gemm *g) {
  size_t bytes = g->bias.data ? cuda_rounded((size_t)g->n * 4) : 0;
  if (!g->a_sums.data) return bytes;
  return bytes + cuda_rounded((size_t)g->m * 4) +
         (g->transpose_a ? kernel_column_sums_scratch(g->k, g->m) : 0);
}

err gemm_finish(ops *o, const ops_gemm *g, int form, const gemm_operands *at) {
  void *stream = cuda_of(o)->compute;
  int64_t count = g->m * g->n;
  int code = 0;
  if (g->epilogue != OPS_EPILOGUE_NONE && !(form & GEMM_ACTIVATION))
    code = g->epilogue == OPS_EPILOGUE_ACTIVATION
               ? kernel_activation(g->activation, count, g->pre, g->c, stream)
               : kernel_activation_gradient(g->activation, count, g->pre, g->c, stream);
  if (code || !g->a_sums.data) return cuda_error(code, "an activation");
  if (form & GEMM_SUMS) {
    ops_buffer sums = {at->sums, OPS_F32};
    code = kernel_column_sums(1, g->m, g->m, sums, g->a_sums, at->rest, stream);
  } else if (g->transpose_a) {
    code = kernel_column_sums(g->k, g->m, g->m, g->a, g->a_sums, at->rest, stream);
  } else {
    code = kernel_row_sums(g->m, g->k, g->a, g->a_sums, stream);
  }
  return cuda_error(code, "a bias gradient");
}

err gemm_product(ops *o, const ops_gemm *g, const gemm_types *types, void *scratch) {
  gemm_key key = key_of(o, g, types);
  gemm_plan *plan;
  char *bias_copy = scratch, *at = bias_copy + (g->bias.data ? cuda_rounded((size_t)g->n * 4) : 0);
  float *library_sums = (float *)(void *)at;
  if (g->a_sums.data) at += cuda_rounded((size_t)g->m * 4);
  const gemm_operands operands = {.a = g->a.data,
                                  .b = g->b.data,
                                  .c = g->c.data,
                                  .pre = g->pre.data,
                                  .bias = g->bias.data,
                                  .bias_copy = bias_copy,
                                  .sums = library_sums,
                                  .scale_a = types->scale_a,
                                  .scale_b = types->scale_b,
                                  .whole = g,
                                  .rest = at};
  err error = gemm_find_plan(o, &key, &operands, &plan);
  if (error) return error;
  if (plan->form & GEMM_BIAS_COMPUTE) {
    ops_buffer copy = {bias_copy, OPS_BF16};
    error = cuda_error(kernel_cast(g->n, g->bias, copy, cuda_of(o)->compute), "a bias");
  }
  if (!error) error = gemm_run_plan(o, plan, &operands);
  return error ? error : gemm_finish(o, g, plan->form, &operands);
}

err cuda_gemm(ops *o, const ops_gemm *g) {
  if (g->may_narrow && gemm_can_narrow(o, g)) return gemm_narrow(o, g);
  const gemm_types types = {library_type(g->a.type), library_type(g->b.type), NULL, NULL};
  void *scratch;
  err error = cuda_scratch(o, gemm_scratch_bytes(g), &scratch);
  return error ? error : gemm_product(o, g, &types, scratch);
}

enum { LOOK_M = 8, LOOK_N = 64, LOOK_K = 8 };

/* -4, -3.875 … 3.875: exact in bf16. */
static double looked_at(int i) {
  return (double)(i - LOOK_N / 2) / 8;
}

/* All rows of c are GELU of the columns' numbers, in its tanh form and as near as the type can
 * tell: the exact form is up to 5e-4 away, most where bf16 is finer than that. */
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

/* Which GELU the library's epilogue computes is not in its documentation's words for every
 * version, so it is asked, in the type of the run: a product whose result is -4 … 4 goes through
 * it. Where it is another, or there is none, the activations are our own kernel's. */
static err look_at_gelu(ops *o) {
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
  const ops_gemm g = {.m = LOOK_M,
                      .n = LOOK_N,
                      .k = LOOK_K,
                      .a = all,
                      .b = ops_at(all, LOOK_M * LOOK_K),
                      .c = ops_at(all, ELEMENTS_AB),
                      .epilogue = OPS_EPILOGUE_ACTIVATION,
                      .activation = OPS_GELU_TANH,
                      .pre = ops_at(all, ELEMENTS_AB + ELEMENTS_C)};
  const gemm_types types = {library_type(o->compute), library_type(o->compute), NULL, NULL};
  const gemm_key key = key_of(o, &g, &types);
  const gemm_operands operands = {
      .a = g.a.data, .b = g.b.data, .c = g.c.data, .pre = g.pre.data, .whole = &g};
  TRY(gemm_run_form(o, &key, GEMM_ACTIVATION, &operands, &is_there));
  TRY(cuda_download(o, c, g.c.data, ELEMENTS_C * size));
  cuda_of(o)->gemms->has_tanh_gelu = is_there && is_tanh_gelu(c, o->compute);
cleanup:
  if (given) cuda_release(o, given);
  if (block) cuda_release(o, block);
  return error;
}

err gemm_plans_create(ops *o, gemm_plans **out) {
  cuda_state *state = cuda_of(o);
  gemm_plans *plans = mem_zeroed(1, sizeof *plans);
  if (!plans) return mem_error(sizeof *plans, "plans of matrix products");
  *out = plans;
  uint64_t workspace = state->workspace_bytes;
  err error = NULL;
  TRY(gemm_error(cublasLtCreate(&plans->library), "starting"));
  TRY(gemm_error(cublasLtMatmulPreferenceCreate(&plans->preference), "making preferences"));
  TRY(gemm_error(cublasLtMatmulPreferenceSetAttribute(plans->preference,
                                                      CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                      &workspace, sizeof workspace),
                 "stating the workspace"));
  TRY(look_at_gelu(o));
cleanup:
  return error;
}

void gemm_plans_destroy(gemm_plans *plans) {
  if (!plans) return;
  for (size_t i = 0; i < plans->count; i++) gemm_free_plan(&plans->items[i]);
  if (plans->preference) (void)cublasLtMatmulPreferenceDestroy(plans->preference);
  if (plans->library) (void)cublasLtDestroy(plans->library);
  free(plans->items);
  free(plans);
}
