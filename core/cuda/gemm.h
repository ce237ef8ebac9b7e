/* Matrix products by cuBLASLt: declarations shared by the files of that op.
 *
 * A product goes through four steps (gemm.c):
 *   describe   what distinguishes it from other products, and the library's description of it
 *   choose     form and algorithm, once for all products of a description
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

/* What makes two products share a plan; has the layout of a choice_key. */
typedef struct {
  int64_t kind; /* CHOICE_GEMM */
  int64_t m, n, k;
  int64_t type_a, type_b, type_c; /* cudaDataType_t */
  int64_t transpose_a, transpose_b, accumulate, has_bias;
  int64_t sums; /* gemm_sums */
  int64_t epilogue, activation;
  int64_t is_aligned; /* all addresses and rows are aligned to 16 bytes */
  int64_t is_deterministic;
} gemm_key;
_Static_assert(sizeof(gemm_key) == sizeof(choice_key), "a gemm_key is a choice_key");

typedef struct {
  gemm_key key;
  int form; /* gemm_form bits */
  cublasLtMatmulDesc_t product;
  cublasLtMatrixLayout_t first, second, result; /* in cuBLASLt's order: b, a, c */
  cublasLtMatmulAlgo_t algorithm;
} gemm_plan;

struct gemm_plans {
  cublasLtHandle_t library;
  cublasLtMatmulPreference_t preference;
  bool has_tanh_gelu; /* the library has a GELU, and it is the tanh form: measured, not assumed */
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

/* gemm_run.c: runs one algorithm into `c`; runs the plan; finishes what the library did not
 * fuse. */
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
