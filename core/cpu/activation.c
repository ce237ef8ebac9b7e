/* GELU in its three forms, and their derivatives, elementwise.
 *
 * Bound: memory beyond the caches, exp within them; the gemm calls it on chunks still in cache. */
#include "cpu/kernel.h"
#ifdef __AVX512F__
#include "cpu/wide.h"
#endif

enum { STRIP = 512 };

#ifndef __AVX512F__
static inline float sigmoid(float x) {
  return 1.0f / (1.0f + cpu_exp(-x));
}

/* tanh form: x Φ̃(x) = x sigmoid(2u), u = sqrt(2/π) (x + 0.044715 x³). */
static inline float tanh_inner(float x) {
  return 1.5957691216057308f * (x + 0.044715f * x * x * x);
}

static inline float gelu_tanh(float x) {
  return x * sigmoid(tanh_inner(x));
}

static inline float gelu_tanh_slope(float x) {
  float s = sigmoid(tanh_inner(x));
  return s + x * s * (1.0f - s) * 1.5957691216057308f * (1.0f + 0.134145f * x * x);
}

/* Φ(x) = erfc(-x / sqrt(2)) / 2, without the cancellation of 1 + erf, and vectorised, as the C
 * library's erff is not: erfc(z) = t exp(p(t) - z²) with t = 1 / (1 + z / 2), where p is fitted to
 * log(erfc(z) exp(z²) / t) for t from 0.16 to 1 (z up to 10.5; beyond, exp is 0), to 6e-8. */
static inline float normal_cdf(float x) {
  float z = fabsf(x) * 0.70710678f, t = 1.0f / (1.0f + 0.5f * z);
  float p = 0.1522794838f;
  p = p * t - 0.7204177114f;
  p = p * t + 1.248708987f;
  p = p * t - 0.8168191284f;
  p = p * t + 0.01766405861f;
  p = p * t - 0.04968026769f;
  p = p * t + 0.05150814697f;
  p = p * t + 0.3832025478f;
  p = p * t + 0.9990203459f;
  p = p * t - 1.26546641f;
  float tail = 0.5f * t * cpu_exp(p - z * z);
  return x < 0 ? tail : 1.0f - tail;
}

static inline float gelu_erf(float x) {
  return x * normal_cdf(x);
}

static inline float gelu_erf_slope(float x) {
  return normal_cdf(x) + x * 0.39894228f * cpu_exp(-0.5f * x * x);
}

static inline float quick_gelu(float x) {
  return x * sigmoid(1.702f * x);
}

static inline float quick_gelu_slope(float x) {
  float s = sigmoid(1.702f * x);
  return s + 1.702f * x * s * (1.0f - s);
}

#define FOR_STRIPS(body)                                                                           \
  _Pragma("omp parallel for schedule(static)") for (int64_t strip = 0;                             \
                                                    strip < (count + STRIP - 1) / STRIP;           \
                                                    strip++) {                                     \
    int64_t at = strip * STRIP, n = count - at < STRIP ? count - at : STRIP;                       \
    float own_x[STRIP], own_y[STRIP];                                                              \
    const float *x = cpu_read(pre, at, n, own_x);                                                  \
    body cpu_written(c, at, n, y);                                                                 \
  }

#define FORWARD(function)                                                                          \
  FOR_STRIPS(float *y = cpu_write(c, at, own_y);                                                   \
             _Pragma("omp simd") for (int64_t i = 0; i < n; i++) y[i] = function(x[i]);)

#define BACKWARD(function)                                                                         \
  FOR_STRIPS(float *y = cpu_write(c, at, own_y); const float *dy = cpu_read(c, at, n, own_y);      \
             _Pragma("omp simd") for (int64_t i = 0; i < n; i++) y[i] = dy[i] * function(x[i]);)
#else
/* Elements from `at` on, of constant type and activation: c = act(pre), or c *= act'(pre). */
WIDE_INLINE void wide_strip(const ops_type type, const ops_activation activation,
                            const bool is_gradient, ops_buffer pre, ops_buffer c, int64_t at,
                            int64_t count) {
  const bool is_rough = type == OPS_BF16;
  for (int64_t i = at; i < at + count; i += 16) {
    const __mmask16 lanes = wide_first(at + count - i);
    __m512 x = wide_read(type, pre, i, lanes);
    __m512 y = is_gradient ? _mm512_mul_ps(wide_read(type, c, i, lanes),
                                           wide_activation_slope(activation, x))
                           : wide_activation(activation, is_rough, x);
    wide_write(type, c, i, lanes, y);
  }
}

static void activate_wide(const ops_activation activation, const bool is_gradient, int64_t count,
                          ops_buffer pre, ops_buffer c) {
#define WIDE_STRIPS(type, activation)                                                              \
  _Pragma("omp parallel for schedule(static)") for (int64_t at = 0; at < count; at += STRIP) {     \
    const int64_t n = count - at < STRIP ? count - at : STRIP;                                     \
    if (is_gradient)                                                                               \
      wide_strip(type, activation, true, pre, c, at, n);                                           \
    else                                                                                           \
      wide_strip(type, activation, false, pre, c, at, n);                                          \
  }
#define WIDE_ACTIVATION(activation)                                                                \
  if (pre.type == OPS_BF16) {                                                                      \
    WIDE_STRIPS(OPS_BF16, activation)                                                              \
  } else {                                                                                         \
    WIDE_STRIPS(OPS_F32, activation)                                                               \
  }
  switch (activation) {
  case OPS_GELU_TANH:
    WIDE_ACTIVATION(OPS_GELU_TANH) break;
  case OPS_GELU_ERF:
    WIDE_ACTIVATION(OPS_GELU_ERF) break;
  case OPS_QUICK_GELU:
    WIDE_ACTIVATION(OPS_QUICK_GELU) break;
  }
}
#endif

err CPU_KERNEL(activate)(ops *o, const ops_activate *a) {
  const int64_t count = a->count;
  const ops_buffer pre = a->pre, c = a->c;
  (void)o;
#ifdef __AVX512F__
  activate_wide(a->activation, false, count, pre, c);
#else
  switch (a->activation) {
  case OPS_GELU_TANH:
    FORWARD(gelu_tanh) break;
  case OPS_GELU_ERF:
    FORWARD(gelu_erf) break;
  case OPS_QUICK_GELU:
    FORWARD(quick_gelu) break;
  }
#endif
  return NULL;
}

void CPU_KERNEL(activate_gradient)(ops_activation activation, int64_t count, ops_buffer pre,
                                   ops_buffer c) {
#ifdef __AVX512F__
  activate_wide(activation, true, count, pre, c);
#else
  switch (activation) {
  case OPS_GELU_TANH:
    BACKWARD(gelu_tanh_slope) break;
  case OPS_GELU_ERF:
    BACKWARD(gelu_erf_slope) break;
  case OPS_QUICK_GELU:
    BACKWARD(quick_gelu_slope) break;
  }
#endif
}
