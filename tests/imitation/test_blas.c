/* The imitation of cuBLASLt answers as the library did on an H100, and catches calls that break
 * what they promised. Its products are checked by test_ops, through the backend. */
#include "support/test.h"

#include <stdlib.h>

#include "imitation/cublaslt.h"

/* d [M,N] = op(a) op(b), all column-major as the library has it. */
enum { M = 16, N = 16, K = 32, ROOM = 4096 };

typedef struct {
  cudaDataType_t type_a, type_b, type_d;
  bool is_turned_a;
  uint32_t epilogue;
  cudaDataType_t type_bias;
  int64_t ld_aux;
  int64_t ld_d;       /* 0: M */
  size_t shift;       /* bytes by which every address is off */
  size_t workspace;   /* bytes given; one algorithm needs some */
  uint32_t alignment; /* asked for */
} question;

static cublasLtHandle_t library;
static cudaStream_t stream;
static char *block; /* a, b, d, aux, bias, scales, workspace: ROOM bytes each */

static int set_up(void **state) {
  (void)state;
  assert_int_equal(cublasLtCreate(&library), CUBLAS_STATUS_SUCCESS);
  assert_int_equal(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  assert_int_equal(cudaMalloc((void **)&block, 7 * ROOM), cudaSuccess);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  assert_int_equal(cudaFree(block), cudaSuccess);
  assert_int_equal(cudaStreamDestroy(stream), cudaSuccess);
  assert_int_equal(cublasLtDestroy(library), CUBLAS_STATUS_SUCCESS);
  return 0;
}

#define SET(number, value)                                                                         \
  assert_int_equal(cublasLtMatmulDescSetAttribute(product, number, &(value), sizeof(value)),       \
                   CUBLAS_STATUS_SUCCESS)
#define WISH(number, value)                                                                        \
  assert_int_equal(                                                                                \
      cublasLtMatmulPreferenceSetAttribute(preference, number, &(value), sizeof(value)),           \
      CUBLAS_STATUS_SUCCESS)

static cublasLtMatmulDesc_t describe(const question *q) {
  cublasLtMatmulDesc_t product;
  cublasOperation_t first = q->is_turned_a ? CUBLAS_OP_T : CUBLAS_OP_N;
  void *aux = block + 3 * ROOM + q->shift, *bias = block + 4 * ROOM;
  assert_int_equal(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                   CUBLAS_STATUS_SUCCESS);
  SET(CUBLASLT_MATMUL_DESC_TRANSA, first);
  SET(CUBLASLT_MATMUL_DESC_EPILOGUE, q->epilogue);
  SET(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, q->type_bias);
  SET(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, q->ld_aux);
  SET(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux);
  SET(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  if (blas_type_bytes(q->type_a) == 1) {
    void *scale_a = block + 5 * ROOM, *scale_b = block + 5 * ROOM + 16;
    SET(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, scale_a);
    SET(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, scale_b);
  }
  return product;
}

/* The library's answer: of the heuristics, else of the last algorithm that they named when run. */
static cublasStatus_t ask(const question *q) {
  cublasLtMatmulDesc_t product = describe(q);
  cublasLtMatrixLayout_t a, b, d;
  cublasLtMatmulPreference_t preference;
  cublasLtMatmulHeuristicResult_t results[8];
  uint64_t allowed = ROOM;
  int count;
  cublasLtMatrixLayoutCreate(&a, q->type_a, q->is_turned_a ? K : M, q->is_turned_a ? M : K,
                             q->is_turned_a ? K : M);
  cublasLtMatrixLayoutCreate(&b, q->type_b, K, N, K);
  cublasLtMatrixLayoutCreate(&d, q->type_d, M, N, q->ld_d ? q->ld_d : M);
  assert_int_equal(cublasLtMatmulPreferenceCreate(&preference), CUBLAS_STATUS_SUCCESS);
  WISH(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, allowed);
  WISH(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, q->alignment);
  cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(library, product, a, b, d, d, preference, 8, results, &count);
  const float one = 1, zero = 0;
  if (!status)
    status = cublasLtMatmul(library, product, &one, block + q->shift, a, block + ROOM + q->shift, b,
                            &zero, block + 2 * ROOM + q->shift, d, block + 2 * ROOM + q->shift, d,
                            &results[count - 1].algo, block + 6 * ROOM, q->workspace, stream);
  cublasLtMatmulPreferenceDestroy(preference);
  cublasLtMatrixLayoutDestroy(a);
  cublasLtMatrixLayoutDestroy(b);
  cublasLtMatrixLayoutDestroy(d);
  cublasLtMatmulDescDestroy(product);
  return status;
}

static question plain(void) {
  return (question){.type_a = CUDA_R_32F,
                    .type_b = CUDA_R_32F,
                    .type_d = CUDA_R_32F,
                    .epilogue = CUBLASLT_EPILOGUE_DEFAULT,
                    .type_bias = CUDA_R_32F,
                    .ld_aux = M,
                    .workspace = ROOM,
                    .alignment = 16};
}

/* The heuristics have nothing for it. */
static void assert_refused(const question *q) {
  int before = imitation_misuses();
  assert_int_equal(ask(q), CUBLAS_STATUS_NOT_SUPPORTED);
  assert_int_equal(imitation_misuses(), before); /* to ask is no misuse */
}

/* 8-bit operands along k with a result in bf16, as gemm_narrow.c asks for them. */
static question narrow(uint32_t epilogue, cudaDataType_t type_bias) {
  question q = plain();
  q.type_a = q.type_b = CUDA_R_8F_E4M3;
  q.type_d = CUDA_R_16BF;
  q.is_turned_a = true;
  q.epilogue = epilogue;
  q.type_bias = type_bias;
  return q;
}

static question half(uint32_t epilogue, cudaDataType_t type_bias, cudaDataType_t type_d) {
  question q = plain();
  q.type_a = q.type_b = CUDA_R_16BF;
  q.type_d = type_d;
  q.epilogue = epilogue;
  q.type_bias = type_bias;
  return q;
}

/* From the choices that a run on an H100 left, and from what failed there. */
static void forms_are_accepted_and_rejected_as_on_an_h100(void **state) {
  (void)state;
  const question taken[] = {half(CUBLASLT_EPILOGUE_BIAS, CUDA_R_16BF, CUDA_R_16BF),
                            half(CUBLASLT_EPILOGUE_GELU_AUX_BIAS, CUDA_R_16BF, CUDA_R_16BF),
                            half(CUBLASLT_EPILOGUE_DGELU, CUDA_R_16BF, CUDA_R_16BF),
                            half(CUBLASLT_EPILOGUE_DEFAULT, CUDA_R_32F, CUDA_R_32F),
                            narrow(CUBLASLT_EPILOGUE_BIAS, CUDA_R_16BF),
                            narrow(CUBLASLT_EPILOGUE_GELU_AUX_BIAS, CUDA_R_16BF)};
  const question refused[] = {half(CUBLASLT_EPILOGUE_BIAS, CUDA_R_32F, CUDA_R_16BF),
                              half(CUBLASLT_EPILOGUE_BGRADB, CUDA_R_32F, CUDA_R_32F),
                              half(CUBLASLT_EPILOGUE_DGELU_BGRAD, CUDA_R_16BF, CUDA_R_16BF),
                              narrow(CUBLASLT_EPILOGUE_DGELU, CUDA_R_16BF),
                              narrow(CUBLASLT_EPILOGUE_BIAS, CUDA_R_32F)}; /* when it is run */
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
    assert_int_equal(ask(&taken[i]), CUBLAS_STATUS_SUCCESS);
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) assert_refused(&refused[i]);
}

/* The heuristics name algorithms, and the call breaks what was promised to them. */
static void assert_caught(const question *q) {
  int before = imitation_misuses();
  assert_int_equal(ask(q), CUBLAS_STATUS_INVALID_VALUE);
  assert_int_equal(imitation_misuses(), before + 1);
}

static void calls_that_break_a_promise_are_caught(void **state) {
  (void)state;
  question q = plain();
  q.workspace = 16;
  assert_caught(&q);
  q = plain(), q.shift = 4; /* the alignment said 16 */
  assert_caught(&q);
  q = plain(), q.ld_d = ROOM; /* beyond the block */
  assert_caught(&q);
  cublasLtMatmulDesc_t product;
  cublasLtMatrixLayout_t layout;
  cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  int before = imitation_misuses();
  int64_t epilogue = CUBLASLT_EPILOGUE_BIAS; /* which is 4 bytes */
  assert_int_equal(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                                  sizeof epilogue),
                   CUBLAS_STATUS_INVALID_VALUE);
  assert_int_equal(cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 8, 4, 7),
                   CUBLAS_STATUS_INVALID_VALUE);
  assert_int_equal(cublasLtMatmulDescDestroy(product), CUBLAS_STATUS_SUCCESS);
  assert_int_equal(cublasLtMatmulDescDestroy(product), CUBLAS_STATUS_INVALID_VALUE);
  assert_int_equal(imitation_misuses(), before + 3);
}

int main(void) {
  unsetenv("FLIP_IMITATION_BLAS");
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(forms_are_accepted_and_rejected_as_on_an_h100),
      TEST(calls_that_break_a_promise_are_caught),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
