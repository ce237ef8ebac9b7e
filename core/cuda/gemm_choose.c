/* Selects the form and the algorithm of a product: the choice of an earlier run, else the fastest
 * that runs (gemm_search.c). */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "cuda/gemm.h"

enum {
  MOST_FORMS = 3,
  AUX_MULTIPLE = 8 /* of the rows of what GELU's epilogues keep */
};

/* Choices among named algorithms alone (FLIP_PRODUCT_SEARCH_MS=0) are others. */
static choice_key stored_key(const cuda_state *state, const gemm_key *key) {
  enum { NAMED_ONLY = 2 };
  choice_key stored;
  gemm_key searched = *key;
  if (state->gemms->search_seconds <= 0) searched.is_deterministic |= NAMED_ONLY;
  memcpy(&stored, &searched, sizeof stored);
  return stored;
}

/* A stored choice: form, algorithm, and what the choice gained (tests/gpu/product_times.sh). The
 * library guarantees that its opaque algorithm can be stored by value within one version. */
enum {
  STORED_FORM,
  STORED_ALGORITHM,
  STORED_GAIN = STORED_ALGORITHM + sizeof(cublasLtMatmulAlgo_t) / sizeof(int64_t),
  STORED_PARTS = STORED_GAIN + sizeof(gemm_gain) / sizeof(int64_t)
};
_Static_assert((int)STORED_PARTS == (int)CHOICE_VALUE_PARTS, "a stored choice is a choice_value");

static void remember(cuda_state *state, const gemm_plan *plan) {
  choice_key key = stored_key(state, &plan->key);
  choice_value value = {{plan->form}};
  memcpy(&value.part[STORED_ALGORITHM], &plan->algorithm, sizeof plan->algorithm);
  memcpy(&value.part[STORED_GAIN], &plan->gain, sizeof plan->gain);
  choice_store_add(state->choices, &key, &value);
}

/* Requirements on algorithms for this plan. */
static err state_preferences(const gemm_plans *plans, const gemm_plan *plan) {
  uint32_t alignment = (uint32_t)plan->key.alignment;
  /* sums in place are added in order of arrival: not bit-reproducible; and they, like those in the
   * output's type, are rounded to bf16 where the result is */
  uint32_t schemes = plan->key.type_c == CUDA_R_16BF ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
                     : plan->key.is_deterministic    ? CUBLASLT_REDUCTION_SCHEME_MASK &
                                                        ~(uint32_t)CUBLASLT_REDUCTION_SCHEME_INPLACE
                                                  : CUBLASLT_REDUCTION_SCHEME_MASK;
  const cublasLtMatmulPreferenceAttributes_t alignments[] = {
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
      CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
  err error = NULL;
  for (int i = 0; i < 4 && !error; i++)
    error = gemm_error(cublasLtMatmulPreferenceSetAttribute(plans->preference, alignments[i],
                                                            &alignment, sizeof alignment),
                       "stating an alignment");
  if (!error)
    error = gemm_error(cublasLtMatmulPreferenceSetAttribute(
                           plans->preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes,
                           sizeof schemes),
                       "stating how sums may be made");
  return error;
}

/* Moves the usable candidates to the front: each result has its own status. */
static int keep_usable(const gemm_key *key, cublasLtMatmulHeuristicResult_t *candidates, int count,
                       size_t workspace) {
  int kept = 0;
  for (int i = 0; i < count; i++)
    if (candidates[i].state == CUBLAS_STATUS_SUCCESS && candidates[i].workspaceSize <= workspace &&
        gemm_is_sound(key, &candidates[i].algo))
      candidates[kept++] = candidates[i];
  return kept;
}

err gemm_try_form(ops *o, const gemm_key *key, int form, const gemm_product *p, gemm_plan *plan,
                  bool *is_there, double *seconds) {
  cuda_state *state = cuda_of(o);
  gemm_plans *plans = state->gemms;
  cublasLtMatmulHeuristicResult_t candidates[GEMM_MOST_NAMED];
  int count = 0;
  *is_there = false;
  err error = gemm_describe(key, form, plan);
  if (error) return error;
  TRY(gemm_point(plan, p));
  TRY(state_preferences(plans, plan));
  *is_there =
      cublasLtMatmulAlgoGetHeuristic(plans->library, plan->product, plan->first, plan->second,
                                     plan->result, plan->result, plans->preference, GEMM_MOST_NAMED,
                                     candidates, &count) == CUBLAS_STATUS_SUCCESS;
  if (*is_there) count = keep_usable(key, candidates, count, state->workspace_bytes);
  *is_there &= count > 0;
  if (!*is_there) goto cleanup;
  *is_there = false;
  TRY(gemm_prepare(o, plan, p)); /* results are compared */
  TRY(gemm_search(o, plan, p, candidates, count, is_there, seconds));
cleanup:
  if (!*is_there) gemm_free_plan(plan);
  return error;
}

/* An algorithm that an earlier run chose, if the library still accepts it. */
static err recall(ops *o, const gemm_key *key, const gemm_product *p, gemm_plan *plan,
                  bool *is_there) {
  cuda_state *state = cuda_of(o);
  choice_key stored = stored_key(state, key);
  choice_value value;
  cublasLtMatmulHeuristicResult_t result;
  *is_there = false;
  if (!choice_store_find(state->choices, &stored, &value)) return NULL;
  err error = gemm_describe(key, (int)value.part[0], plan);
  if (error) return error;
  memcpy(&plan->algorithm, &value.part[STORED_ALGORITHM], sizeof plan->algorithm);
  /* the library may judge by the alignment of what the epilogue reads and writes */
  error = gemm_point(plan, p);
  if (error) {
    gemm_free_plan(plan);
    return error;
  }
  *is_there = cublasLtMatmulAlgoCheck(state->gemms->library, plan->product, plan->first,
                                      plan->second, plan->result, plan->result, &plan->algorithm,
                                      &result) == CUBLAS_STATUS_SUCCESS &&
              result.workspaceSize <= state->workspace_bytes &&
              gemm_is_sound(key, &plan->algorithm);
  if (!*is_there) gemm_free_plan(plan);
  return NULL;
}

/* The forms to try, those with the least work for our kernels first; terminated by -1. */
static void list_forms(const gemm_plans *plans, const gemm_key *key, int forms[MOST_FORMS + 1]) {
  bool is_aligned = key->alignment == GEMM_ALIGNMENT;
  /* the library's derivative is accurate to 5e-6 (docs/gpu.md): enough for bf16, not for fp32 */
  bool is_exact_enough =
      key->epilogue != OPS_EPILOGUE_ACTIVATION_GRADIENT || key->type_c == CUDA_R_16BF;
  bool is_gelu = key->epilogue != OPS_EPILOGUE_NONE && key->activation == OPS_GELU_TANH &&
                 plans->has_tanh_gelu && is_exact_enough && is_aligned &&
                 key->n % AUX_MULTIPLE == 0;
  /* the library accepts a bias only in the result's type (docs/gpu-ledger.md) */
  int bias = !key->has_bias ? 0 : key->type_c == CUDA_R_16BF ? GEMM_BIAS_COMPUTE : GEMM_BIAS_MASTER;
  int count = 0;
  if (key->sums == GEMM_A_SUMS && is_aligned) forms[count++] = GEMM_SUMS;
  if (key->sums == GEMM_C_SUMS && is_gelu) forms[count++] = GEMM_ACTIVATION | GEMM_SUMS;
  if (is_gelu) forms[count++] = bias | GEMM_ACTIVATION;
  forms[count++] = bias;
  forms[count] = -1;
}

/* The fastest form, since fusing is not always faster; without timing the first available one. */
static err choose_form(ops *o, const gemm_key *key, const gemm_product *p, gemm_plan *plan) {
  int forms[MOST_FORMS + 1];
  double least = INFINITY, seconds = 0;
  bool has_plan = false;
  list_forms(cuda_of(o)->gemms, key, forms);
  for (int i = 0; forms[i] >= 0 && !(has_plan && !cuda_may_time(cuda_of(o))); i++) {
    gemm_plan tried;
    bool is_there;
    err error = gemm_try_form(o, key, forms[i], p, &tried, &is_there, &seconds);
    if (error) {
      if (has_plan) gemm_free_plan(plan);
      return error;
    }
    if (!is_there) continue;
    if (has_plan && seconds >= least) {
      gemm_free_plan(&tried);
      continue;
    }
    if (has_plan) gemm_free_plan(plan);
    *plan = tried;
    least = seconds;
    has_plan = true;
  }
  return has_plan ? NULL
                  : err_new(ERR_UNSUPPORTED,
                            "cuBLASLt has no algorithm for a product of %ld x %ld x %ld",
                            (long)key->m, (long)key->n, (long)key->k);
}

static err make_plan(ops *o, const gemm_key *key, const gemm_product *p, gemm_plan *plan) {
  cuda_state *state = cuda_of(o);
  const choice_key stored = stored_key(state, key);
  bool may_time = cuda_may_time(state), is_there = false, is_ours = false;
  err error = recall(o, key, p, plan, &is_there);
  while (!error && !is_there && may_time && !is_ours) {
    error = cuda_claim_choice(o, &stored, &is_ours);
    if (!error && !is_ours) error = recall(o, key, p, plan, &is_there);
  }
  if (error || is_there) return error;
  error = choose_form(o, key, p, plan);
  if (!error && may_time && !plan->is_untried) remember(state, plan);
  choice_store_release(state->choices); /* if nothing was chosen, or it is not remembered */
  if (error || !may_time || cuda_may_time(state)) return error;
  gemm_free_plan(plan); /* it could not be kept, and the next run must choose the same */
  return choose_form(o, key, p, plan);
}

err gemm_choose(ops *o, const gemm_key *key, const gemm_product *p, gemm_plan **chosen) {
  gemm_plans *plans = cuda_of(o)->gemms;
  for (size_t i = 0; i < plans->count; i++) {
    if (memcmp(&plans->items[i].key, key, sizeof *key) == 0) {
      *chosen = &plans->items[i];
      return NULL;
    }
  }
  if (plans->count == plans->capacity) {
    size_t capacity = plans->capacity ? 2 * plans->capacity : 64;
    gemm_plan *larger = mem_resize(plans->items, capacity, sizeof *larger);
    if (!larger) return mem_error(capacity * sizeof *larger, "plans of matrix products");
    plans->items = larger;
    plans->capacity = capacity;
  }
  err error = make_plan(o, key, p, &plans->items[plans->count]);
  if (error) return error;
  *chosen = &plans->items[plans->count++];
  return NULL;
}
