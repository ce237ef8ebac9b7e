/* Selects the form and the algorithm of a product: the choice of an earlier run, else the fastest
 * that runs. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "cuda/gemm.h"

enum {
  CANDIDATES = 16,
  TIMED_RUNS = 3,
  MOST_FORMS = 3,
  AUX_MULTIPLE = 8 /* of the rows of what GELU's epilogues keep */
};

/* What is timed: a product by one algorithm, or the parts left to our kernels. */
typedef struct {
  const gemm_plan *plan;
  const gemm_product *p;
  void *c;
  const cublasLtMatmulAlgo_t *algorithm; /* NULL: the unfused parts */
} timed_work;

static err run_timed(ops *o, const void *work) {
  const timed_work *w = work;
  if (w->algorithm) return gemm_multiply(o, w->plan, w->p, w->c, w->algorithm);
  /* sums go to where the library's would: trials must not add to the real ones */
  ops_gemm rest = w->p->g;
  if (rest.a_sums.data) rest.a_sums = (ops_buffer){w->p->trial, OPS_F32};
  if (rest.c_sums.data) rest.c_sums = (ops_buffer){w->p->trial, OPS_F32};
  if (rest.c_maximum.data) rest.c_maximum = (ops_buffer){w->p->trial, OPS_F32};
  return gemm_finish(o, &rest, w->plan->form, w->p);
}

/* 0 if it runs, infinite if it is rejected. */
static double try_once(ops *o, const timed_work *w) {
  err error = run_timed(o, w);
  if (!error) return 0;
  err_free(error);
  return INFINITY;
}

/* Seconds of one run; infinite on failure. */
static double time_work(ops *o, const timed_work *w) {
  double seconds;
  err error = cuda_time(o, TIMED_RUNS, run_timed, w, &seconds);
  if (!error) return seconds;
  err_free(error);
  return INFINITY;
}

/* The first candidate that runs at all, or, where choices may be made by timing, the fastest, with
 * its seconds and those of its unfused parts. -1 when none runs: the heuristics also offer
 * algorithms that the library then rejects (8-bit products with a bias in fp32). Trials must not
 * add to real sums: these go to memory of their own, or, if none is left, the library's first
 * choice is taken untried. */
static int choose_candidate(ops *o, gemm_plan *plan, const gemm_product *p,
                            const cublasLtMatmulHeuristicResult_t *candidates, int count,
                            double *least) {
  const bool is_timed = cuda_may_time(cuda_of(o));
  void *target = gemm_target(plan, p), *c = target;
  *least = 0;
  if (plan->key.accumulate && cudaMalloc(&c, (size_t)(plan->key.m * plan->key.n) * 4)) {
    (void)cudaGetLastError();
    return 0;
  }
  int best = -1;
  *least = INFINITY;
  for (int i = 0; i < count && (is_timed || best < 0); i++) {
    const timed_work product = {plan, p, c, &candidates[i].algo};
    double seconds = is_timed ? time_work(o, &product) : try_once(o, &product);
    if (!(seconds < *least)) continue;
    *least = seconds;
    best = i;
  }
  const timed_work rest = {plan, p, c, NULL};
  if (is_timed && best >= 0) *least += time_work(o, &rest);
  if (c != target) (void)cudaFree(c);
  return best;
}

static choice_key stored_key(const gemm_key *key) {
  choice_key stored;
  memcpy(&stored, key, sizeof stored);
  return stored;
}

/* The library guarantees that its opaque algorithm can be stored by value within one version. */
static void remember(cuda_state *state, const gemm_plan *plan) {
  choice_key key = stored_key(&plan->key);
  choice_value value = {{plan->form}};
  _Static_assert(sizeof plan->algorithm == sizeof value.part - sizeof value.part[0], "it fits");
  memcpy(&value.part[1], &plan->algorithm, sizeof plan->algorithm);
  choice_store_add(state->choices, &key, &value);
}

/* Requirements on algorithms for this plan. */
static err state_preferences(const gemm_plans *plans, const gemm_plan *plan) {
  uint32_t alignment = plan->key.is_aligned ? 16 : plan->key.type_a == CUDA_R_32F ? 4 : 2;
  /* sums in place are added in order of arrival: not bit-reproducible */
  uint32_t schemes = plan->key.is_deterministic ? CUBLASLT_REDUCTION_SCHEME_MASK &
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
static int keep_usable(cublasLtMatmulHeuristicResult_t *candidates, int count, size_t workspace) {
  int kept = 0;
  for (int i = 0; i < count; i++)
    if (candidates[i].state == CUBLAS_STATUS_SUCCESS && candidates[i].workspaceSize <= workspace)
      candidates[kept++] = candidates[i];
  return kept;
}

err gemm_try_form(ops *o, const gemm_key *key, int form, const gemm_product *p, gemm_plan *plan,
                  bool *is_there, double *seconds) {
  cuda_state *state = cuda_of(o);
  gemm_plans *plans = state->gemms;
  cublasLtMatmulHeuristicResult_t candidates[CANDIDATES];
  int count = 0;
  *is_there = false;
  err error = gemm_describe(key, form, plan);
  if (error) return error;
  TRY(gemm_point(plan, p));
  TRY(state_preferences(plans, plan));
  *is_there =
      cublasLtMatmulAlgoGetHeuristic(plans->library, plan->product, plan->first, plan->second,
                                     plan->result, plan->result, plans->preference, CANDIDATES,
                                     candidates, &count) == CUBLAS_STATUS_SUCCESS;
  if (*is_there) count = keep_usable(candidates, count, state->workspace_bytes);
  *is_there &= count > 0;
  if (!*is_there) goto cleanup;
  int best = choose_candidate(o, plan, p, candidates, count, seconds);
  *is_there = best >= 0;
  if (*is_there) plan->algorithm = candidates[best].algo;
cleanup:
  if (!*is_there) gemm_free_plan(plan);
  return error;
}

/* An algorithm that an earlier run chose, if the library still accepts it. */
static err recall(ops *o, const gemm_key *key, gemm_plan *plan, bool *is_there) {
  cuda_state *state = cuda_of(o);
  choice_key stored = stored_key(key);
  choice_value value;
  cublasLtMatmulHeuristicResult_t result;
  *is_there = false;
  if (!choice_store_find(state->choices, &stored, &value)) return NULL;
  err error = gemm_describe(key, (int)value.part[0], plan);
  if (error) return error;
  memcpy(&plan->algorithm, &value.part[1], sizeof plan->algorithm);
  *is_there = cublasLtMatmulAlgoCheck(state->gemms->library, plan->product, plan->first,
                                      plan->second, plan->result, plan->result, &plan->algorithm,
                                      &result) == CUBLAS_STATUS_SUCCESS &&
              result.workspaceSize <= state->workspace_bytes;
  if (!*is_there) gemm_free_plan(plan);
  return NULL;
}

/* The forms to try, those with the least work for our kernels first; terminated by -1. */
static void list_forms(const gemm_plans *plans, const gemm_key *key, int forms[MOST_FORMS + 1]) {
  /* the library's derivative is accurate to 5e-6 (docs/gpu.md): enough for bf16, not for fp32 */
  bool is_exact_enough =
      key->epilogue != OPS_EPILOGUE_ACTIVATION_GRADIENT || key->type_c == CUDA_R_16BF;
  bool is_gelu = key->epilogue != OPS_EPILOGUE_NONE && key->activation == OPS_GELU_TANH &&
                 plans->has_tanh_gelu && is_exact_enough && key->is_aligned &&
                 key->n % AUX_MULTIPLE == 0;
  /* the library accepts a bias only in the result's type (docs/gpu-ledger.md) */
  int bias = !key->has_bias ? 0 : key->type_c == CUDA_R_16BF ? GEMM_BIAS_COMPUTE : GEMM_BIAS_MASTER;
  int count = 0;
  if (key->sums == GEMM_A_SUMS && key->is_aligned) forms[count++] = GEMM_SUMS;
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
  bool is_there;
  err error = recall(o, key, plan, &is_there);
  if (error || is_there) return error;
  error = choose_form(o, key, p, plan);
  if (!error && cuda_may_time(cuda_of(o))) remember(cuda_of(o), plan);
  return error;
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
