/* The imitation of cuBLASLt: its products by hand, and the calls that its documents forbid. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "imitation/cublaslt.h"

/* d [M,N] = op(a) op(b), all column-major as the library has it. */
enum { M = 16, N = 16, K = 32, ROOM = 4096 };

typedef struct {
  cudaDataType_t type_a, type_b, type_d;
  bool is_turned_a, is_turned_b;
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

static void send(int place, const void *values, size_t bytes) {
  assert_int_equal(
      cudaMemcpyAsync(block + place * ROOM, values, bytes, cudaMemcpyHostToDevice, stream),
      cudaSuccess);
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
  cublasOperation_t second = q->is_turned_b ? CUBLAS_OP_T : CUBLAS_OP_N;
  void *aux = block + 3 * ROOM + q->shift, *bias = block + 4 * ROOM;
  assert_int_equal(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                   CUBLAS_STATUS_SUCCESS);
  SET(CUBLASLT_MATMUL_DESC_TRANSA, first);
  SET(CUBLASLT_MATMUL_DESC_TRANSB, second);
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
  cublasLtMatrixLayoutCreate(&b, q->type_b, q->is_turned_b ? N : K, q->is_turned_b ? K : N,
                             q->is_turned_b ? N : K);
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

static void a_product_is_that_of_the_columns(void **state) {
  (void)state;
  float a[K * M], b[K * N], bias[M], d[N * M], aux[N * M];
  question q = plain();
  q.is_turned_a = true;
  q.epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
  for (int i = 0; i < K * M; i++) a[i] = (float)(i % 7 - 3) / 8;
  for (int i = 0; i < K * N; i++) b[i] = (float)(i % 5 - 2) / 4;
  for (int i = 0; i < M; i++) bias[i] = (float)i / 16;
  send(0, a, sizeof a);
  send(1, b, sizeof b);
  send(4, bias, sizeof bias);
  assert_int_equal(ask(&q), CUBLAS_STATUS_SUCCESS);
  cudaMemcpyAsync(d, block + 2 * ROOM, sizeof d, cudaMemcpyDeviceToHost, stream);
  cudaMemcpyAsync(aux, block + 3 * ROOM, sizeof aux, cudaMemcpyDeviceToHost, stream);
  for (int i = 0; i < M; i++)
    for (int j = 0; j < N; j++) {
      double x = (double)bias[i];
      for (int k = 0; k < K; k++) x += (double)a[i * K + k] * (double)b[j * K + k];
      double gelu = 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
      /* fp32's rounding of numbers below 8 */
      assert_true(fabs((double)aux[j * M + i] - x) < 1e-6);
      assert_true(fabs((double)d[j * M + i] - gelu) < 1e-6);
    }
}

/* The heuristics have nothing for it. */
static void assert_refused(const question *q) {
  int before = imitation_misuses();
  assert_int_equal(ask(q), CUBLAS_STATUS_NOT_SUPPORTED);
  assert_int_equal(imitation_misuses(), before); /* to ask is no misuse */
}

static void forms_that_do_not_exist_are_refused(void **state) {
  (void)state;
  question narrow = plain(), q;
  narrow.type_a = narrow.type_b = CUDA_R_8F_E4M3;
  narrow.type_d = CUDA_R_16BF;
  narrow.is_turned_a = true;
  assert_int_equal(ask(&narrow), CUBLAS_STATUS_SUCCESS);
  q = narrow, q.is_turned_a = false;
  assert_refused(&q);
  q = narrow, q.is_turned_b = true;
  assert_refused(&q);
  q = narrow, q.type_a = q.type_b = CUDA_R_8F_E5M2;
  assert_refused(&q);
  q = narrow, q.alignment = 2;
  assert_refused(&q);
  q = narrow, q.epilogue = CUBLASLT_EPILOGUE_BIAS; /* in fp32: offered, and refused when run */
  assert_refused(&q);
  setenv("FLIP_IMITATION_CAPABILITY", "8.0", 1);
  assert_refused(&narrow);
  unsetenv("FLIP_IMITATION_CAPABILITY");
  q = plain(), q.type_b = CUDA_R_16BF;
  assert_refused(&q);
  q = plain(), q.epilogue = CUBLASLT_EPILOGUE_DGELU, q.ld_aux = M + 4;
  assert_refused(&q);
  q = plain(), q.epilogue = CUBLASLT_EPILOGUE_DGELU, q.shift = 8;
  assert_refused(&q);
  q = plain(), q.epilogue = CUBLASLT_EPILOGUE_RELU;
  assert_refused(&q);
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

static void an_algorithm_of_another_version_is_not_taken(void **state) {
  (void)state;
  question q = plain();
  cublasLtMatmulDesc_t product = describe(&q);
  cublasLtMatrixLayout_t a, b, d;
  cublasLtMatmulAlgo_t foreign = {{1, 2, 3}};
  cublasLtMatmulHeuristicResult_t result;
  cublasLtMatrixLayoutCreate(&a, CUDA_R_32F, M, K, M);
  cublasLtMatrixLayoutCreate(&b, CUDA_R_32F, K, N, K);
  cublasLtMatrixLayoutCreate(&d, CUDA_R_32F, M, N, M);
  assert_int_equal(cublasLtMatmulAlgoCheck(library, product, a, b, d, d, &foreign, &result),
                   CUBLAS_STATUS_INVALID_VALUE);
  cublasLtMatrixLayoutDestroy(a);
  cublasLtMatrixLayoutDestroy(b);
  cublasLtMatrixLayoutDestroy(d);
  cublasLtMatmulDescDestroy(product);
}

int main(void) {
  unsetenv("FLIP_IMITATION_BLAS");
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(a_product_is_that_of_the_columns),
      TEST(forms_that_do_not_exist_are_refused),
      TEST(calls_that_break_a_promise_are_caught),
      TEST(an_algorithm_of_another_version_is_not_taken),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
