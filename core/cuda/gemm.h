/* Matrix products by cuBLASLt: what the files of that one op share.
 *
 * cuBLASLt thinks in columns. Our row-major c = op(a) op(b) is its column-major cᵀ = op(b)ᵀ op(a)ᵀ,
 * so its first operand is our b and its result has n rows: a bias along our columns is a bias
 * along its rows, as its epilogues want it. */
#ifndef FLIP_CUDA_GEMM_H
#define FLIP_CUDA_GEMM_H

#include <cublasLt.h>

#include "cuda/cuda.h"

/* What the library does beside the product. What it does not do, our kernels do afterwards. */
typedef enum {
  GEMM_BIAS_MASTER = 1,  /* adds the bias, read in master type */
  GEMM_BIAS_COMPUTE = 2, /* adds a copy of the bias in compute type, which we make first */
  GEMM_ACTIVATION = 4,   /* the activation with its input saved, or its gradient */
  GEMM_SUMS = 8          /* the sums of op(a) over k */
} gemm_form;

/* What makes two products the same plan; laid out as a choice_key. */
typedef struct {
  int64_t kind; /* CHOICE_GEMM */
  int64_t m, n, k;
  int64_t type_a, type_b, type_c; /* cudaDataType_t */
  int64_t transpose_a, transpose_b, accumulate, has_bias, has_sums;
  int64_t epilogue, activation;
  int64_t is_aligned; /* all addresses and rows at 16 bytes */
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

/* Where a product's operands lie. */
typedef struct {
  const void *a, *b;
  void *c, *pre;
  const void *bias, *bias_copy;   /* master; and where its copy in compute type will be */
  float *sums;                    /* [m] of our own: the library overwrites */
  const float *scale_a, *scale_b; /* of 8-bit operands: what their values are multiplied by */
  const ops_gemm *whole;          /* what all this is for */
  void *rest;                     /* scratch of our kernels for what the library leaves */
} gemm_operands;

struct gemm_plans {
  cublasLtHandle_t library;
  cublasLtMatmulPreference_t preference;
  bool has_tanh_gelu; /* the library has a GELU, and it is the tanh form: seen, not assumed */
  gemm_plan *items;
  size_t count, capacity;
};

err gemm_error(cublasStatus_t status, const char *what) ERR_MUST_CHECK;
/* What the library did not do beside the product. */
err gemm_finish(ops *o, const ops_gemm *g, int form, const gemm_operands *at) ERR_MUST_CHECK;
/* The plan for `key`, made and its form and algorithm chosen when first asked for. `operands` are
 * used for timing: c is overwritten, unless the product accumulates. */
err gemm_find_plan(ops *o, const gemm_key *key, const gemm_operands *operands,
                   gemm_plan **found) ERR_MUST_CHECK;
err gemm_run_plan(ops *o, gemm_plan *plan, const gemm_operands *operands) ERR_MUST_CHECK;
/* One run in a form that may not be the one to choose; *is_there false if the library has none. */
err gemm_run_form(ops *o, const gemm_key *key, int form, const gemm_operands *operands,
                  bool *is_there) ERR_MUST_CHECK;
void gemm_free_plan(gemm_plan *plan);

/* A product whose operands may be 8 bits wide: what ops_gemm has no words for. */
typedef struct {
  cudaDataType_t type_a, type_b;
  const float *scale_a, *scale_b; /* NULL: not scaled */
} gemm_types;
/* Scratch of one product, and the product with all that belongs to it. */
size_t gemm_scratch_bytes(const ops_gemm *g);
err gemm_product(ops *o, const ops_gemm *g, const gemm_types *types, void *scratch) ERR_MUST_CHECK;

/* gemm_narrow.c: dense layers in 8 bits. */
bool gemm_can_narrow(ops *o, const ops_gemm *g);
err gemm_narrow(ops *o, const ops_gemm *g) ERR_MUST_CHECK;

#endif
