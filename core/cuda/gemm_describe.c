/* Describes one product to cuBLASLt. */
#include <string.h>

#include "cuda/gemm.h"

err gemm_error(cublasStatus_t status, const char *what) {
  if (status == CUBLAS_STATUS_SUCCESS) return NULL;
  return err_new(status == CUBLAS_STATUS_ALLOC_FAILED ? ERR_MEMORY : ERR_UNSUPPORTED,
                 "cuBLASLt: %s: %s", what, cublasLtGetStatusString(status));
}

/* Of all addresses and rows, in bytes. */
static int64_t alignment_of(const ops_gemm *g, size_t row_a, size_t row_b, size_t row_c) {
  uintptr_t all = (uintptr_t)g->a.data | (uintptr_t)g->b.data | (uintptr_t)g->c.data |
                  (uintptr_t)g->pre.data | (uintptr_t)g->bias.data | row_a | row_b | row_c |
                  GEMM_ALIGNMENT;
  return (int64_t)(all & -all);
}

gemm_key gemm_key_of(ops *o, const gemm_product *p) {
  const ops_gemm *g = &p->g;
  gemm_key key;
  size_t out = ops_size_of(g->c.type), in = p->scale_a ? 1 : ops_size_of(g->a.type);
  size_t row_a = (size_t)(g->transpose_a ? g->m : g->k) * in;
  size_t row_b = (size_t)(g->transpose_b ? g->k : g->n) * in;
  memset(&key, 0, sizeof key);
  key.kind = CHOICE_GEMM;
  key.m = g->m;
  key.n = g->n;
  key.k = g->k;
  key.type_a = p->type_a;
  key.type_b = p->type_b;
  key.type_c = gemm_type(g->c.type);
  key.transpose_a = g->transpose_a;
  key.transpose_b = g->transpose_b;
  key.accumulate = g->accumulate;
  key.has_bias = g->bias.data != NULL;
  key.sums = g->a_sums.data ? GEMM_A_SUMS : g->c_sums.data ? GEMM_C_SUMS : GEMM_NO_SUMS;
  key.epilogue = g->epilogue;
  key.activation = g->epilogue == OPS_EPILOGUE_NONE ? 0 : g->activation;
  key.alignment = alignment_of(g, row_a, row_b, (size_t)g->n * out);
  key.is_deterministic = cuda_of(o)->request.is_deterministic;
  return key;
}

#define SET(plan, attribute, value)                                                                \
  gemm_error(cublasLtMatmulDescSetAttribute((plan)->product, attribute, &(value), sizeof(value)),  \
             "describing a product")

static cublasLtEpilogue_t epilogue_of(const gemm_key *key, int form) {
  bool has_bias = form & (GEMM_BIAS_MASTER | GEMM_BIAS_COMPUTE);
  if (form & GEMM_ACTIVATION) {
    if (key->epilogue == OPS_EPILOGUE_ACTIVATION_GRADIENT)
      return form & GEMM_SUMS ? CUBLASLT_EPILOGUE_DGELU_BGRAD : CUBLASLT_EPILOGUE_DGELU;
    return has_bias ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX;
  }
  if (form & GEMM_SUMS) return CUBLASLT_EPILOGUE_BGRADB;
  return has_bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

static err describe_product(gemm_plan *plan) {
  const gemm_key *key = &plan->key;
  err error = NULL;
  TRY(gemm_error(cublasLtMatmulDescCreate(&plan->product, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                 "describing a product"));
  cublasOperation_t first = key->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  cublasOperation_t second = key->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = epilogue_of(key, plan->form);
  TRY(SET(plan, CUBLASLT_MATMUL_DESC_TRANSA, first));
  TRY(SET(plan, CUBLASLT_MATMUL_DESC_TRANSB, second));
  TRY(SET(plan, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue));
  if (plan->form & (GEMM_BIAS_MASTER | GEMM_SUMS)) {
    cudaDataType_t type =
        plan->form & GEMM_ACTIVATION && key->sums ? (cudaDataType_t)key->type_c : CUDA_R_32F;
    TRY(SET(plan, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type));
  } else if (plan->form & GEMM_BIAS_COMPUTE) {
    cudaDataType_t type = CUDA_R_16BF;
    TRY(SET(plan, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type));
  }
  if (key->type_a == CUDA_R_8F_E4M3) {
    /* forward: Hopper's 14-bit accumulation; gradients, in e5m2, use full accumulation */
    int8_t is_fast = 1;
    TRY(SET(plan, CUBLASLT_MATMUL_DESC_FAST_ACCUM, is_fast));
  }
  if (plan->form & GEMM_ACTIVATION) {
    int64_t stride = key->n;
    TRY(SET(plan, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, stride));
  }
cleanup:
  return error;
}

/* `rows` of `columns` elements in our row-major layout are a column-major matrix of `columns`
 * rows. */
static err describe_matrix(cublasLtMatrixLayout_t *layout, int64_t type, int64_t rows,
                           int64_t columns) {
  return gemm_error(cublasLtMatrixLayoutCreate(layout, (cudaDataType_t)type, (uint64_t)columns,
                                               (uint64_t)rows, columns),
                    "describing a matrix");
}

err gemm_describe(const gemm_key *key, int form, gemm_plan *plan) {
  *plan = (gemm_plan){.key = *key, .form = form};
  err error = NULL;
  TRY(describe_product(plan));
  TRY(key->transpose_b ? describe_matrix(&plan->first, key->type_b, key->n, key->k)
                       : describe_matrix(&plan->first, key->type_b, key->k, key->n));
  TRY(key->transpose_a ? describe_matrix(&plan->second, key->type_a, key->k, key->m)
                       : describe_matrix(&plan->second, key->type_a, key->m, key->k));
  TRY(describe_matrix(&plan->result, key->type_c, key->m, key->n));
cleanup:
  if (error) gemm_free_plan(plan);
  return error;
}

void gemm_free_plan(gemm_plan *plan) {
  if (plan->product) (void)cublasLtMatmulDescDestroy(plan->product);
  if (plan->first) (void)cublasLtMatrixLayoutDestroy(plan->first);
  if (plan->second) (void)cublasLtMatrixLayoutDestroy(plan->second);
  if (plan->result) (void)cublasLtMatrixLayoutDestroy(plan->result);
  *plan = (gemm_plan){0};
}

err gemm_point(gemm_plan *plan, const gemm_product *p) {
  err error = NULL;
  if (plan->form & GEMM_BIAS_MASTER)
    TRY(SET(plan, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p->g.bias.data));
  if (plan->form & GEMM_BIAS_COMPUTE)
    TRY(SET(plan, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p->bias_copy));
  if (plan->form & GEMM_SUMS) TRY(SET(plan, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p->sums));
  if (plan->form & GEMM_ACTIVATION)
    TRY(SET(plan, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p->g.pre.data));
  if (p->scale_a) {
    TRY(SET(plan, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, p->scale_b));
    TRY(SET(plan, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, p->scale_a));
  }
cleanup:
  return error;
}
