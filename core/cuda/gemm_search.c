/* The fastest algorithm for one product in one form.
 *
 * Small products: the algorithms that the heuristics name, timed once. Large ones, while time is
 * left: all of these, then variants of the fastest so far and of the fastest of other kinds
 * (gemm_variants.c), then the best few
 * once more, in turns, each run with the cache full of other data, as in a step. A variant is taken
 * only if its result agrees with that of the first algorithm that the heuristics named. */
#include "cuda/gemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
  TIMED_RUNS = 3,
  MOST_BASES = 3,
  MOST_CANDIDATES = GEMM_MOST_NAMED + (GEMM_VARIATIONS + MOST_BASES - 1) * GEMM_MOST_VARIANTS,
  FINALISTS = 4,
  ROUNDS = 5 /* odd: the median is one of them */
};
#define LARGE_PRODUCT 1e8 /* FLOPs: 0.1 ms at the rate of a GPU's vector units, 1 us by others */
#define BASES_WITHIN 1.3
#define FINALISTS_WITHIN 1.15 /* of the fastest */

typedef struct {
  cublasLtMatmulAlgo_t algorithm;
  double seconds; /* infinite: it does not run */
  bool is_variant;
} candidate;

typedef struct {
  ops *o;
  const gemm_plan *plan;
  const gemm_product *p;
  void *c;         /* where trials write */
  double deadline; /* by clock_seconds */
  candidate list[MOST_CANDIDATES];
  int count, tried;
  err broken; /* the device failed with an algorithm, and can do nothing more */
} search;

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

static timed_work work_of(const search *s, const candidate *a) {
  return (timed_work){s->plan, s->p, s->c, a ? &a->algorithm : NULL};
}

static err device_failure(const search *s, const candidate *a, cudaError_t code) {
  const gemm_key *key = &s->plan->key;
  int64_t rows, columns;
  gemm_tile_of(&a->algorithm, &rows, &columns);
  return err_new(
      ERR_UNSUPPORTED,
      "CUDA: %s, while an algorithm of cuBLASLt (tile %ld x %ld) was tried for a product of %ld x "
      "%ld x %ld%s",
      cudaGetErrorString(code), (long)rows, (long)columns, (long)key->m, (long)key->n, (long)key->k,
      a->is_variant ? "; FLIP_PRODUCT_SEARCH_MS=0 tries only those that the library names" : "");
}

/* Of a failure, which only says that an algorithm is not there, unless the device does not go on.
 * a: NULL for our kernels. */
static double infinite(search *s, const candidate *a, err error) {
  err_free(error);
  (void)cudaGetLastError(); /* else the next launch takes it for its own */
  const cudaError_t code = cudaStreamSynchronize(cuda_of(s->o)->compute);
  if (code != cudaSuccess && a && !s->broken) s->broken = device_failure(s, a, code);
  return INFINITY;
}

/* The mean of a few runs; a: NULL for the unfused parts. */
static double time_warm(search *s, const candidate *a) {
  const timed_work w = work_of(s, a);
  double seconds;
  err error = cuda_time(s->o, TIMED_RUNS, run_timed, &w, &seconds);
  return error ? infinite(s, a, error) : seconds;
}

/* One run, after as much of the workspace as the cache holds was overwritten. */
static double time_cold(search *s, const candidate *a) {
  cuda_state *state = cuda_of(s->o);
  size_t cache = (size_t)state->cache_bytes;
  if (cache > state->workspace_bytes) cache = state->workspace_bytes;
  float milliseconds = 0;
  err error = NULL;
  TRY(cuda_clear(s->o, state->workspace, cache));
  TRY(cuda_error(cudaEventRecord(state->begun, state->compute), "an event"));
  TRY(gemm_multiply(s->o, s->plan, s->p, s->c, &a->algorithm));
  TRY(cuda_error(cudaEventRecord(state->ended, state->compute), "an event"));
  TRY(cuda_error(cudaEventSynchronize(state->ended), "waiting for the GPU"));
  TRY(cuda_error(cudaEventElapsedTime(&milliseconds, state->begun, state->ended),
                 "reading an event"));
cleanup:
  return error ? infinite(s, a, error) : (double)milliseconds / 1e3;
}

static int fastest(const search *s) {
  int best = -1;
  for (int i = 0; i < s->count; i++)
    if (isfinite(s->list[i].seconds) && (best < 0 || s->list[i].seconds < s->list[best].seconds))
      best = i;
  return best;
}

/* Times one more algorithm, unless it is in the list or the time is over; the first that were named
 * have no time limit. */
static void consider(search *s, const cublasLtMatmulAlgo_t *algorithm, bool is_variant) {
  bool is_due = !is_variant && s->count < GEMM_FEW_NAMED;
  bool is_over = s->broken || s->count == MOST_CANDIDATES;
  if (is_over || (!is_due && clock_seconds() >= s->deadline)) return;
  for (int i = 0; i < s->count; i++)
    if (memcmp(&s->list[i].algorithm, algorithm, sizeof *algorithm) == 0) return;
  candidate *a = &s->list[s->count++];
  *a = (candidate){*algorithm, 0, is_variant};
  a->seconds = time_warm(s, a);
  s->tried++;
}

static int by_seconds(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int by_candidate(const void *a, const void *b) {
  return by_seconds(&((const candidate *)a)->seconds, &((const candidate *)b)->seconds);
}

/* The fastest, and the fastest of other kinds of kernels, such as those that write one tile while
 * they compute the next: one may be best with a tile that another cannot have. */
static int list_bases(search *s, int most, cublasLtMatmulAlgo_t bases[MOST_BASES]) {
  int count = 0;
  qsort(s->list, (size_t)s->count, sizeof *s->list, by_candidate);
  for (int i = 0; i < s->count && count < most; i++) {
    const candidate *a = &s->list[i];
    bool is_new = isfinite(a->seconds) && a->seconds <= BASES_WITHIN * s->list[0].seconds;
    for (int j = 0; j < count; j++) is_new &= !gemm_is_kindred(&bases[j], &a->algorithm);
    if (is_new) bases[count++] = a->algorithm;
  }
  return count;
}

/* Each kind of variant of what is then the fastest; tiles of several bases, in turns. */
static void consider_variants(search *s) {
  cuda_state *state = cuda_of(s->o);
  const gemm_variants v = {state->gemms->library, s->plan, state->workspace_bytes,
                           state->multiprocessors};
  for (int which = 0; which < GEMM_VARIATIONS; which++) {
    gemm_algorithms variants[MOST_BASES];
    cublasLtMatmulAlgo_t bases[MOST_BASES];
    int count = list_bases(s, which == GEMM_VARY_TILE ? MOST_BASES : 1, bases);
    if (clock_seconds() >= s->deadline) return;
    for (int j = 0; j < count; j++)
      gemm_list_variants(&v, (gemm_variation)which, &bases[j], &variants[j]);
    for (int i = 0; i < GEMM_MOST_VARIANTS; i++)
      for (int j = 0; j < count; j++)
        if (i < variants[j].count) consider(s, &variants[j].item[i], true);
  }
}

/* Times those that may be the fastest again, in turns, and `first` with them: medians replace the
 * earlier times, so that the list's order is by the same measure among these. */
static int run_finals(search *s, const cublasLtMatmulAlgo_t *first) {
  double times[FINALISTS + 1][ROUNDS];
  int count = 0;
  qsort(s->list, (size_t)s->count, sizeof *s->list, by_candidate);
  while (count < s->count && count < FINALISTS &&
         s->list[count].seconds <= FINALISTS_WITHIN * s->list[0].seconds)
    count++;
  int at = 0;
  while (memcmp(&s->list[at].algorithm, first, sizeof *first) != 0) at++;
  if (at >= count) { /* last among them */
    const candidate reference = s->list[at];
    s->list[at] = s->list[count];
    s->list[count] = reference;
    at = count++;
  }
  for (int round = 0; round < ROUNDS; round++)
    for (int i = 0; i < count; i++)
      times[i][round] = s->broken ? INFINITY : time_cold(s, &s->list[i]);
  for (int i = 0; i < count; i++) {
    qsort(times[i], ROUNDS, sizeof times[i][0], by_seconds);
    s->list[i].seconds = times[i][ROUNDS / 2];
  }
  for (int i = count; i < s->count; i++) s->list[i].seconds = INFINITY;
  return at;
}

/* The fastest whose result can be trusted: the heuristics' are, variants are compared with `first`.
 * -1: none. */
static int fastest_that_agrees(search *s, int first, int64_t *refused) {
  const cublasLtMatmulAlgo_t trusted = s->list[first].algorithm;
  int best;
  while ((best = fastest(s)) >= 0 && s->list[best].is_variant && !s->broken) {
    bool agrees = false;
    err error =
        gemm_compare(s->o, s->plan, s->p, s->c, &trusted, &s->list[best].algorithm, &agrees);
    if (!error && agrees) break;
    *refused += !error;
    s->list[best].seconds = infinite(s, &s->list[best], error);
  }
  return best;
}

/* The first that runs, without timing. */
static int first_that_runs(search *s, const cublasLtMatmulHeuristicResult_t *named, int count) {
  for (int i = 0; i < count && !s->broken; i++) {
    s->list[0] = (candidate){.algorithm = named[i].algo};
    const timed_work w = work_of(s, &s->list[0]);
    err error = run_timed(s->o, &w);
    if (!error) return 0;
    (void)infinite(s, &s->list[0], error);
  }
  return -1;
}

static int64_t nanoseconds(double seconds) {
  return isfinite(seconds) ? (int64_t)(seconds * 1e9) : 0;
}

static bool is_large(const search *s) {
  const gemm_key *key = &s->plan->key;
  return 2.0 * (double)key->m * (double)key->n * (double)key->k >= LARGE_PRODUCT;
}

/* Time for many variants, however long one takes: a product is searched once. */
static double search_time(const gemm_plans *plans, double first_seconds) {
  enum { RUNS = 64 * (TIMED_RUNS + 1) };
  const double most = 1;
  double wanted = RUNS * first_seconds;
  if (plans->searches_all || wanted < plans->search_seconds) return plans->search_seconds;
  return wanted < most ? wanted : most;
}

/* Of s->list; -1 if none runs. */
static int search_timed(search *s, const cublasLtMatmulHeuristicResult_t *named, int count,
                        gemm_gain *gain) {
  const gemm_plans *plans = cuda_of(s->o)->gemms;
  bool is_thorough = plans->search_seconds > 0 && (is_large(s) || plans->searches_all);
  int first = -1;
  const double begun = clock_seconds();
  s->deadline = is_thorough ? begun + plans->search_seconds : INFINITY;
  if (!is_thorough && count > GEMM_FEW_NAMED) count = GEMM_FEW_NAMED;
  for (int i = 0; i < count; i++) {
    consider(s, &named[i].algo, false);
    if (i == 0 && is_thorough && isfinite(s->list[0].seconds))
      s->deadline = begun + search_time(plans, s->list[0].seconds);
  }
  for (int i = 0; i < s->count && first < 0; i++)
    if (isfinite(s->list[i].seconds)) first = i;
  if (first < 0) return -1;
  /* the library's sums are not compared, so that forms with them take no variants */
  const cublasLtMatmulAlgo_t named_first = s->list[first].algorithm;
  if (is_thorough && !(s->plan->form & GEMM_SUMS)) consider_variants(s);
  if (is_thorough) first = run_finals(s, &named_first);
  gain->first_ns = nanoseconds(s->list[first].seconds);
  int best = fastest_that_agrees(s, first, &gain->refused);
  gain->tried = s->tried;
  if (best >= 0) {
    gain->chosen_ns = nanoseconds(s->list[best].seconds);
    gain->is_variant = s->list[best].is_variant;
    gemm_tile_of(&s->list[best].algorithm, &gain->tile_rows, &gain->tile_columns);
  }
  return best;
}

err gemm_search(ops *o, gemm_plan *plan, const gemm_product *p,
                const cublasLtMatmulHeuristicResult_t *named, int count, bool *is_there,
                double *seconds) {
  void *target = gemm_target(plan, p);
  search *s = mem_zeroed(1, sizeof *s);
  if (!s) return mem_error(sizeof *s, "a search for algorithms");
  *s = (search){.o = o, .plan = plan, .p = p, .c = target};
  *seconds = 0;
  *is_there = true;
  plan->algorithm = named[0].algo;
  /* trials must not add to real sums; without memory for others the first algorithm of the form
   * that the library is known to have is taken untried */
  if (plan->key.accumulate && cudaMalloc(&s->c, (size_t)(plan->key.m * plan->key.n) * 4)) {
    (void)cudaGetLastError();
    free(s);
    plan->is_untried = true;
    *is_there = !(plan->form & GEMM_SUMS);
    return NULL;
  }
  bool is_timed = cuda_may_time(cuda_of(o));
  int best =
      is_timed ? search_timed(s, named, count, &plan->gain) : first_that_runs(s, named, count);
  *is_there = best >= 0;
  if (*is_there) plan->algorithm = s->list[best].algorithm;
  if (*is_there && is_timed) *seconds = s->list[best].seconds + time_warm(s, NULL);
  if (s->c != target) (void)cudaFree(s->c);
  err broken = s->broken;
  free(s);
  return broken;
}
