/* Matrix products by cuBLASLt: the op's entry point. */
#include "cuda/gemm.h"

#include <stdlib.h>

#include "base/mem.h"
#include "cuda/kernels.h"

size_t gemm_library_version(void) {
  return cublasLtGetVersion();
}

static size_t sums_bytes(const ops_gemm *g) {
  return cuda_rounded((size_t)(g->a_sums.data ? g->m : g->c_sums.data ? g->n : 0) * 4);
}

/* Scratch of one product: the bias's copy, the library's sums, those of trials, and the parts of
 * our column sums. */
static size_t scratch_bytes(const ops_gemm *g) {
  size_t bytes = (g->bias.data ? cuda_rounded((size_t)g->n * 4) : 0) + 2 * sums_bytes(g);
  if (g->a_sums.data && g->transpose_a) return bytes + kernel_column_sums_scratch(g->k, g->m);
  if (!g->c_sums.data) return bytes;
  const size_t other = kernel_column_sums_scratch(g->m, g->n);
  const size_t ours = kernel_activation_gradient_sums_scratch(g->m, g->n);
  return bytes + (ours > other ? ours : other);
}

static void place_scratch(gemm_product *p, const ops_gemm *g, char *at) {
  p->has_copy =
      g->bias_copy.type == OPS_BF16 && g->bias_copy.data && cuda_is_at_16(g->bias_copy.data);
  p->bias_copy = p->has_copy ? g->bias_copy.data : at;
  if (g->bias.data) at += cuda_rounded((size_t)g->n * 4);
  p->sums = at;
  p->trial = (float *)(void *)(at + sums_bytes(g));
  p->rest = at + 2 * sums_bytes(g);
}

err cuda_gemm(ops *o, const ops_gemm *g) {
  const bool is_narrow = g->may_narrow && gemm_can_narrow(o, g);
  const size_t narrow_bytes = is_narrow ? gemm_narrow_bytes(g) : 0;
  gemm_product p = {.g = *g, .type_a = gemm_type(g->a.type), .type_b = gemm_type(g->b.type)};
  gemm_plan *plan;
  void *scratch;
  err error = NULL;
  TRY(cuda_scratch(o, narrow_bytes + scratch_bytes(g), &scratch));
  place_scratch(&p, g, (char *)scratch + narrow_bytes);
  if (is_narrow) TRY(gemm_narrow(o, g, scratch, &p));
  const gemm_key key = gemm_key_of(o, &p);
  TRY(gemm_choose(o, &key, &p, &plan));
  TRY(gemm_run(o, plan, &p));
  TRY(gemm_finish(o, g, plan->form, &p)); /* of g: a bias gradient is that of the 16-bit values */
cleanup:
  return error;
}

/* For large products; FLIP_PRODUCT_SEARCH_MS: for all. */
enum { SEARCH_MS = 60, MOST_SEARCH_MS = 1000000 };

static err read_search(gemm_plans *plans) {
  const char *text = getenv("FLIP_PRODUCT_SEARCH_MS");
  char *end = NULL;
  plans->search_seconds = SEARCH_MS / 1e3;
  if (!text || !*text) return NULL;
  long ms = strtol(text, &end, 10);
  if (*end || ms < 0 || ms > MOST_SEARCH_MS)
    return err_new(ERR_INPUT,
                   "FLIP_PRODUCT_SEARCH_MS=%s is not a whole number of milliseconds from 0 to %d",
                   text, MOST_SEARCH_MS);
  plans->search_seconds = (double)ms / 1e3;
  plans->searches_all = true;
  return NULL;
}

err gemm_plans_create(ops *o, gemm_plans **out) {
  cuda_state *state = cuda_of(o);
  gemm_plans *plans = mem_zeroed(1, sizeof *plans);
  if (!plans) return mem_error(sizeof *plans, "plans of matrix products");
  *out = plans;
  uint64_t workspace = state->workspace_bytes;
  err error = NULL;
  TRY(read_search(plans));
  TRY(gemm_error(cublasLtCreate(&plans->library), "starting"));
  TRY(gemm_error(cublasLtMatmulPreferenceCreate(&plans->preference), "making preferences"));
  TRY(gemm_error(cublasLtMatmulPreferenceSetAttribute(plans->preference,
                                                      CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                      &workspace, sizeof workspace),
                 "stating the workspace"));
  TRY(gemm_look_at_gelu(o));
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
