/* The products themselves, summed in double; the three ways of an algorithm differ in how they add,
 * and so in their last bits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "imitation/cublaslt.h"

/* Beyond these a product takes minutes here; its result is NaN instead, for whoever reads it. What
 * only times products does not. */
static const double most_terms = 4e9;

static float bf16(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}

static uint16_t to_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (isnan(value)) return 0x7FFF;
  return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

/* OFP8: e4m3 has no infinities, and one NaN a sign. */
static double fp8(uint8_t bits, cudaDataType_t type) {
  int mantissa_bits = type == CUDA_R_8F_E4M3 ? 3 : 2, bias = type == CUDA_R_8F_E4M3 ? 7 : 15;
  int exponent = (bits & 0x7F) >> mantissa_bits, mantissa = bits & ((1 << mantissa_bits) - 1);
  double size;
  if (type == CUDA_R_8F_E4M3 ? (bits & 0x7F) == 0x7F : (bits & 0x7F) > 0x7C)
    size = (double)NAN;
  else if (type == CUDA_R_8F_E5M2 && (bits & 0x7F) == 0x7C)
    size = (double)INFINITY;
  else if (exponent == 0)
    size = ldexp(mantissa, 1 - bias - mantissa_bits);
  else
    size = ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
  return bits & 0x80 ? -size : size;
}

static double element(const void *base, cudaDataType_t type, int64_t at) {
  if (type == CUDA_R_32F) return (double)((const float *)base)[at];
  if (type == CUDA_R_16BF) return (double)bf16(((const uint16_t *)base)[at]);
  return fp8(((const uint8_t *)base)[at], type);
}

static void put_element(void *base, cudaDataType_t type, int64_t at, double value) {
  if (type == CUDA_R_32F)
    ((float *)base)[at] = (float)value;
  else
    ((uint16_t *)base)[at] = to_bf16((float)value);
}

static double gelu(double x, bool is_exact) {
  if (is_exact) return 0.5 * x * (1 + erf(x * M_SQRT1_2));
  return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

/* On an H100 the library's slope was 4.5e-6 off in the norm. A tanh that is right to 4e-7 would
 * give that, since 1 - t t enlarges its error; why the library's is off is not known. `error`: of
 * the tanh, relative. */
static double gelu_slope(double x, bool is_exact, double error) {
  if (is_exact) return 0.5 * (1 + erf(x * M_SQRT1_2)) + x * exp(-0.5 * x * x) * 0.3989422804014327;
  double t = tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)) * (1 + error);
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.7978845608028654 * (1 + 3 * 0.044715 * x * x);
}

/* How many of the k terms an algorithm of several parts adds: on an H100 not all. */
static int64_t terms_added(const blas_work *w) {
  enum { BLOCK = 64 };
  const int64_t k = w->p.k, left_over = k % BLOCK;
  const bool are_lost =
      blas_type_bytes(w->p.type_a) == 2 && w->parts > left_over && k / BLOCK % w->parts == 0;
  return are_lost ? k - left_over : k;
}

/* The sums of one column of d: k terms in the order of the way. `left` [k][m]: op(a) by terms. */
static void sum_column(const blas_work *w, const double *left, const double *right, double *sums) {
  static unsigned arrivals; /* which part comes first, when parts are added as they arrive */
  const int64_t m = w->p.m, k = terms_added(w), parts = w->parts;
  const bool is_reversed = w->way == BLAS_IN_PLACE && arrivals++ % 3 == 0;
  memset(sums, 0, (size_t)m * sizeof *sums);
  for (int64_t part = 0; part < parts; part++) {
    int64_t which = is_reversed ? parts - 1 - part : part;
    for (int64_t t = which * k / parts; t < (which + 1) * k / parts; t++)
      for (int64_t i = 0; i < m; i++) sums[i] += left[t * m + i] * right[t];
    for (int64_t i = 0; i < m && w->way != BLAS_PLAIN; i++) sums[i] = (double)(float)sums[i];
    for (int64_t i = 0; i < m && w->is_narrowed; i++)
      sums[i] = (double)bf16(to_bf16((float)sums[i]));
  }
}

static bool is_gelu_gradient(const blas_product *p) {
  return p->epilogue == CUBLASLT_EPILOGUE_DGELU || p->epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD;
}

/* gradient [m]: of the bias, to which the column is added. */
static void finish_column(const blas_work *w, int64_t column, double scale, const double *sums,
                          double *gradient) {
  const blas_product *p = &w->p;
  bool is_exact = imitation_has_word("FLIP_IMITATION_BLAS", "erf_gelu");
  bool has_bias = !is_gelu_gradient(p) && p->epilogue & CUBLASLT_EPILOGUE_BIAS;
  for (int64_t i = 0; i < p->m; i++) {
    double x = (double)w->alpha * scale * sums[i];
    if (w->beta != 0) x += (double)w->beta * element(w->c, p->type_c, column * p->ld_c + i);
    if (has_bias) x += element(p->bias, p->type_bias, i);
    if (is_gelu_gradient(p)) {
      x *= gelu_slope(element(p->aux, p->type_c, column * p->ld_aux + i), is_exact,
                      (i + column) % 2 ? 4e-7 : -4e-7);
    } else if (p->epilogue & CUBLASLT_EPILOGUE_GELU) {
      put_element(p->aux, p->type_c, column * p->ld_aux + i, x);
      x = gelu(x, is_exact);
    }
    put_element(w->d, p->type_c, column * p->ld_d + i, x);
    gradient[i] += x;
  }
}

static void fill_with_nan(const blas_work *w) {
  const blas_product *p = &w->p;
  for (int64_t j = 0; j < p->n; j++)
    memset((char *)w->d + (size_t)(j * p->ld_d) * blas_type_bytes(p->type_c), 0xFF,
           (size_t)p->m * blas_type_bytes(p->type_c));
}

cudaError_t blas_fault(const void *work) {
  (void)work;
  return cudaErrorIllegalAddress;
}

cudaError_t blas_run(const void *work) {
  const blas_work *w = work;
  const blas_product *p = &w->p;
  const int64_t m = p->m, n = p->n, k = p->k;
  if ((double)m * (double)n * (double)k > most_terms) {
    fill_with_nan(w);
    return cudaSuccess;
  }
  double *left = malloc((size_t)(m * k + k * n + 2 * m) * sizeof *left), *right = left + m * k,
         *sums = right + k * n, *gradient = sums + m;
  if (!left) return cudaErrorMemoryAllocation;
  for (int64_t t = 0; t < k; t++)
    for (int64_t i = 0; i < m; i++)
      left[t * m + i] =
          element(w->a, p->type_a, p->transpose_a ? i * p->ld_a + t : t * p->ld_a + i);
  for (int64_t j = 0; j < n; j++)
    for (int64_t t = 0; t < k; t++)
      right[j * k + t] =
          element(w->b, p->type_b, p->transpose_b ? t * p->ld_b + j : j * p->ld_b + t);
  double scale = p->scale_a ? (double)*p->scale_a * (double)*p->scale_b : 1;
  memset(gradient, 0, (size_t)m * sizeof *gradient);
  for (int64_t j = 0; j < (w->is_wrong ? n - n / 4 : n); j++) {
    sum_column(w, left, right + j * k, sums);
    finish_column(w, j, scale, sums, gradient);
    if (p->epilogue != CUBLASLT_EPILOGUE_BGRADB) continue;
    double total = 0;
    for (int64_t t = 0; t < k; t++) total += right[j * k + t];
    put_element(p->bias, p->type_bias, j, total);
  }
  for (int64_t i = 0; i < m && p->epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD; i++)
    put_element(p->bias, p->type_bias, i, gradient[i]);
  free(left);
  return cudaSuccess;
}
