/* Compares two algorithms' results for one product by the sums of their columns. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cuda/gemm.h"
#include "cuda/kernels.h"

/* The relative difference of the sums' norms that rounding may cause: each element of a bf16 result
 * is within 2^-9, sums of thousands are within a thousandth of their size unless they cancel. A
 * tile that is missing, or computed from the wrong rows, changes far more. */
#define MOST_APART 0.02

/* A result, or what GELU's epilogue keeps of it. */
typedef struct {
  void *data;
  ops_type type;
} matrix;

/* The sums of the columns of all results of one algorithm, which are first filled: with NaN, or
 * zeros where the product is added. */
static err sums_by(ops *o, const gemm_plan *plan, const gemm_product *p, const matrix *results,
                   int count, const cublasLtMatmulAlgo_t *algorithm, float *sums, void *scratch,
                   float *out) {
  const int64_t m = plan->key.m, n = plan->key.n;
  cudaStream_t stream = cuda_of(o)->compute;
  err error = NULL;
  for (int i = 0; i < count; i++)
    TRY(cuda_error(cudaMemsetAsync(results[i].data, plan->key.accumulate ? 0 : 0xFF,
                                   (size_t)(m * n) * ops_size_of(results[i].type), stream),
                   "filling a result"));
  TRY(cuda_clear(o, sums, (size_t)(count * n) * sizeof *sums));
  TRY(gemm_multiply(o, plan, p, results[0].data, algorithm));
  for (int i = 0; i < count; i++)
    TRY(cuda_error(kernel_column_sums(m, n, n, (ops_buffer){results[i].data, results[i].type},
                                      (ops_buffer){sums + i * n, OPS_F32}, scratch, stream),
                   "sums of a result"));
  TRY(cuda_download(o, out, sums, (size_t)(count * n) * sizeof *sums));
cleanup:
  return error;
}

static bool are_close(const float *a, const float *b, int64_t count) {
  double size = 0, apart = 0;
  for (int64_t i = 0; i < count; i++) {
    double x = (double)a[i], d = x - (double)b[i];
    size += x * x;
    apart += d * d;
  }
  return size > 0 && sqrt(apart) <= MOST_APART * sqrt(size); /* zeros and NaN show nothing */
}

err gemm_compare(ops *o, const gemm_plan *plan, const gemm_product *p, void *c,
                 const cublasLtMatmulAlgo_t *trusted, const cublasLtMatmulAlgo_t *other,
                 bool *agree) {
  bool has_kept = plan->form & GEMM_ACTIVATION && plan->key.epilogue == OPS_EPILOGUE_ACTIVATION &&
                  p->g.pre.data;
  const int count = has_kept ? 2 : 1;
  const int64_t n = plan->key.n;
  const ops_type type = plan->key.type_c == CUDA_R_16BF ? OPS_BF16 : OPS_F32;
  const matrix results[2] = {{c, type}, {p->g.pre.data, type}};
  size_t sums_bytes = cuda_rounded((size_t)(count * n) * sizeof(float));
  char *block = NULL;
  float *host = mem_zeroed((size_t)(2 * count * n), sizeof *host);
  *agree = false;
  if (!host) return mem_error((size_t)(2 * count * n) * sizeof *host, "sums of results");
  err error = NULL;
  TRY(cuda_error(
      cudaMalloc((void **)&block, sums_bytes + kernel_column_sums_scratch(plan->key.m, n)),
      "sums of results"));
  TRY(sums_by(o, plan, p, results, count, trusted, (float *)(void *)block, block + sums_bytes,
              host));
  TRY(sums_by(o, plan, p, results, count, other, (float *)(void *)block, block + sums_bytes,
              host + count * n));
  *agree = true;
  for (int i = 0; i < count; i++) *agree &= are_close(host + i * n, host + (count + i) * n, n);
cleanup:
  if (block) (void)cudaFree(block);
  free(host);
  return error;
}
