/* Matrix products by cuBLASLt: declarations shared by the files of that op.
 *
 * A product goes through four steps (gemm.c):
 *   describe   what distinguishes it from other products, and the library's description of it
 *   choose     form and algorithm (search, variants), once for all products of a description
 *   run        the product, with whatever its form fuses into it
 *   finish     what the form leaves to our kernels
 *
 * Choosing runs and finishes candidates to time them; no other step calls another.
 *
 * cuBLASLt is column-major. Our row-major c = op(a) op(b) is its column-major cᵀ = op(b)ᵀ op(a)ᵀ,
 * so its first operand is our b and its result has n rows: a bias along our columns is a bias along
 * its rows, as its epilogues expect. */
#ifndef FLIP_CUDA_GEMM_H
#define FLIP_CUDA_GEMM_H

#include <cublasLt.h>

#include "cuda/cuda.h"

/* What the library fuses into the product (epilogues). Our kernels do the rest afterwards. */
typedef enum {
  GEMM_BIAS_MASTER = 1,  /* adds the bias, read in master type */
  GEMM_BIAS_COMPUTE = 2, /* adds a copy of the bias in compute type, which we make first */
  GEMM_ACTIVATION = 4,   /* the activation with its input saved, or its gradient */
  GEMM_SUMS = 8          /* a_sums, in master type; or with GEMM_ACTIVATION c_sums, in c's type: the
                          * library computes that bias gradient only in the result's type */
} gemm_form;

typedef enum { GEMM_NO_SUMS, GEMM_A_SUMS, GEMM_C_SUMS } gemm_sums;

enum { GEMM_ALIGNMENT = 16 }; /* more is of no use to the library */

/* What makes two products share a plan; has the layout of a choice_key. */
typedef struct {
  int64_t kind; /* CHOICE_GEMM */
  int64_t m, n, k;
  int64_t type_a, type_b, type_c; /* cudaDataType_t */
  int64_t transpose_a, transpose_b, accumulate, has_bias;
  int64_t sums; /* gemm_sums */
  int64_t epilogue, activation;
  int64_t alignment; /* of all addresses and rows, in bytes; at most GEMM_ALIGNMENT */
  int64_t is_deterministic;
} gemm_key;
_Static_assert(sizeof(gemm_key) == sizeof(choice_key), "a gemm_key is a choice_key");

/* What choosing an algorithm by timing gained: kept with the choice; all 0 without timing. */
typedef struct {
  int64_t first_ns, chosen_ns;     /* of the heuristics' first that runs, and of the chosen */
  int64_t tried, refused;          /* algorithms timed; variants whose result was wrong */
  int64_t is_variant;              /* the heuristics did not name the chosen one */
  int64_t tile_rows, tile_columns; /* of the chosen one; 0: not known */
} gemm_gain;

typedef struct {
  gemm_key key;
  int form; /* gemm_form bits */
  cublasLtMatmulDesc_t product;
  cublasLtMatrixLayout_t first, second, result; /* in cuBLASLt's order: b, a, c */
  cublasLtMatmulAlgo_t algorithm;
  gemm_gain gain;
  bool is_untried; /* taken without a run, for lack of memory: not for later runs */
} gemm_plan;

struct gemm_plans {
  cublasLtHandle_t library;
  cublasLtMatmulPreference_t preference;
  bool has_tanh_gelu; /* the library has a GELU, and it is the tanh form: measured, not assumed */
  double search_seconds; /* for a large product's algorithm, in one form (gemm_search.c) */
  bool searches_all;     /* for every product's */
  gemm_plan *items;
  size_t count, capacity;
};

/* A product in progress: ops_gemm in the library's terms, with what ops_gemm cannot express. */
typedef struct {
  ops_gemm g;
  cudaDataType_t type_a, type_b;
  const float *scale_a, *scale_b; /* of 8-bit operands: the factors of their values */
  void *bias_copy;                /* the bias in compute type: the caller's, or scratch */
  bool has_copy;                  /* the caller has provided bias_copy */
  void *sums;   /* scratch, since the library overwrites: [m] master; for c_sums: [n] compute */
  float *trial; /* scratch: destination of sums that are only timed */
  void *rest;   /* scratch of our kernels for the unfused parts */
} gemm_product;

err gemm_error(cublasStatus_t status, const char *what) ERR_MUST_CHECK;

/* gemm_describe.c: the key, and the library's description of a product in one form. Addresses are
 * part of that description; they change from call to call. */
gemm_key gemm_key_of(ops *o, const gemm_product *p);
err gemm_describe(const gemm_key *key, int form, gemm_plan *plan) ERR_MUST_CHECK;
err gemm_point(gemm_plan *plan, const gemm_product *p) ERR_MUST_CHECK;
void gemm_free_plan(gemm_plan *plan);

/* gemm_choose.c: the plan for `key`, created on first use. p is used for timing: c is overwritten,
 * unless the product accumulates. */
err gemm_choose(ops *o, const gemm_key *key, const gemm_product *p,
                gemm_plan **chosen) ERR_MUST_CHECK;
/* One form, not necessarily the best; *is_there false, and nothing to free, when the library has no
 * algorithm for it, or none that runs. *seconds: of a run, if it is timed. */
err gemm_try_form(ops *o, const gemm_key *key, int form, const gemm_product *p, gemm_plan *plan,
                  bool *is_there, double *seconds) ERR_MUST_CHECK;

/* gemm_search.c: the fastest of the algorithms that the heuristics named, and of their variants,
 * into plan->algorithm; without timing the first that runs. *is_there false: none runs. *seconds:
 * with our kernels' parts, if timed. */
enum { GEMM_MOST_NAMED = 32, GEMM_FEW_NAMED = 16 /* always timed */ };
err gemm_search(ops *o, gemm_plan *plan, const gemm_product *p,
                const cublasLtMatmulHeuristicResult_t *named, int count, bool *is_there,
                double *seconds) ERR_MUST_CHECK;

/* gemm_variants.c: algorithms with one setting other than the base's, those that may be fastest
 * first; only what the library accepts for the plan, and none below GEMM_ALIGNMENT. */
typedef enum {
  GEMM_VARY_TILE,
  GEMM_VARY_SPLIT, /* of k: reproducible sums only */
  GEMM_VARY_CLUSTER,
  GEMM_VARY_OPTION,
  GEMM_VARIATIONS
} gemm_variation;
enum { GEMM_MOST_VARIANTS = 24 };
typedef struct {
  cublasLtMatmulAlgo_t item[GEMM_MOST_VARIANTS];
  int count;
} gemm_algorithms;
typedef struct {
  cublasLtHandle_t library;
  const gemm_plan *plan;
  size_t workspace_bytes;
  int multiprocessors;
} gemm_variants;
void gemm_list_variants(const gemm_variants *v, gemm_variation which,
                        const cublasLtMatmulAlgo_t *base, gemm_algorithms *out);
/* The algorithm's tile; zeros if the table of tiles lacks it. */
void gemm_tile_of(const cublasLtMatmulAlgo_t *algorithm, int64_t *rows, int64_t *columns);
/* Whether two algorithms differ only in tile, cluster and the like: the same code otherwise. */
bool gemm_is_kindred(const cublasLtMatmulAlgo_t *a, const cublasLtMatmulAlgo_t *b);
/* False: its sums may be wrong, or less exact than fp32. cuBLASLt 13.1's algorithms with several
 * parts lose the last k % 64 terms of some 16-bit products, without an error; and parts may be
 * added in the result's type. */
bool gemm_is_sound(const gemm_key *key, const cublasLtMatmulAlgo_t *algorithm);
/* Seconds by a model, only to order candidates; rows and columns: of the library's tile. */
double gemm_estimate(const gemm_key *key, int rows, int columns, int parts, int multiprocessors);

/* gemm_compare.c: whether two algorithms give the same result up to rounding. Writes to c and, with
 * an activation, to pre. */
err gemm_compare(ops *o, const gemm_plan *plan, const gemm_product *p, void *c,
                 const cublasLtMatmulAlgo_t *trusted, const cublasLtMatmulAlgo_t *other,
                 bool *agree) ERR_MUST_CHECK;

/* gemm_run.c: makes the copy of the bias that the form reads; runs one algorithm into `c`; runs the
 * plan; finishes what the library did not fuse. */
err gemm_prepare(ops *o, const gemm_plan *plan, const gemm_product *p) ERR_MUST_CHECK;
void *gemm_target(const gemm_plan *plan, const gemm_product *p);
err gemm_multiply(ops *o, const gemm_plan *plan, const gemm_product *p, void *c,
                  const cublasLtMatmulAlgo_t *algorithm) ERR_MUST_CHECK;
err gemm_run(ops *o, gemm_plan *plan, const gemm_product *p) ERR_MUST_CHECK;
err gemm_finish(ops *o, const ops_gemm *g, int form, const gemm_product *p) ERR_MUST_CHECK;

/* gemm_gelu.c: sets has_tanh_gelu. */
err gemm_look_at_gelu(ops *o) ERR_MUST_CHECK;

/* gemm_narrow.c: sets p to the product of g's 8-bit operands. */
void gemm_narrow(const ops_gemm *g, gemm_product *p);

static inline cudaDataType_t gemm_type(ops_type type) {
  return type == OPS_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

#endif
