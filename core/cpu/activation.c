/* GELU in its three forms, and their derivatives, elementwise.
 *
 * Bound: memory beyond the caches, exp within them; the gemm calls it on chunks still in cache. */
#include "cpu/kernel.h"
#ifdef __AVX512F__
#include "cpu/wide.h"
#endif

enum { STRIP = 512 };

/* The elements of strip number `strip`, and where they begin. */
static inline int64_t strip_of(int64_t count, int64_t strip, int64_t *at) {
  *at = strip * STRIP;
  return count - *at < STRIP ? count - *at : STRIP;
}

#ifndef __AVX512F__
static inline float sigmoid(float x) {
  return 1.0f / (1.0f + cpu_exp(-x));
}

/* tanh form: x Φ̃(x) = x sigmoid(2u), u = sqrt(2/π) (x + 0.044715 x³). Each of these returns the
 * activation and its slope; either costs nothing if it is not used. */
static inline float gelu_tanh(float x, float *slope) {
  float s = sigmoid(1.5957691216057308f * (x + 0.044715f * x * x * x));
  *slope = s + x * s * (1.0f - s) * 1.5957691216057308f * (1.0f + 0.134145f * x * x);
  return x * s;
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

static inline float gelu_erf(float x, float *slope) {
  float cdf = normal_cdf(x);
  *slope = cdf + x * 0.39894228f * cpu_exp(-0.5f * x * x);
  return x * cdf;
}

static inline float quick_gelu(float x, float *slope) {
  float s = sigmoid(1.702f * x);
  *slope = s + 1.702f * x * s * (1.0f - s);
  return x * s;
}

#define FORWARD(function)                                                                          \
  _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                            \
    float slope;                                                                                   \
    y[i] = function(x[i], &slope);                                                                 \
  }

#define BACKWARD(function)                                                                         \
  _Pragma("omp simd") for (int64_t i = 0; i < n; i++) {                                            \
    float slope;                                                                                   \
    y[i] = function(x[i], &slope);                                                                 \
    dx[i] = dy[i] * slope;                                                                         \
  }

/* The elements of a strip: c = act(pre). */
static void activate_strip(const ops_activate *a, int64_t at, int64_t n) {
  float own_x[STRIP], own_y[STRIP];
  const float *x = cpu_read(a->pre, at, n, own_x);
  float *y = cpu_write(a->c, at, own_y);
  switch (a->activation) {
  case OPS_GELU_TANH:
    FORWARD(gelu_tanh) break;
  case OPS_GELU_ERF:
    FORWARD(gelu_erf) break;
  case OPS_QUICK_GELU:
    FORWARD(quick_gelu) break;
  }
  cpu_written(a->c, at, n, y);
}

/* c *= act'(pre), and activated = act(pre), if present. */
static void gradient_strip(const ops_gemm *g, int64_t at, int64_t n) {
  float own_x[STRIP], own_y[STRIP], own_dx[STRIP];
  const float *x = cpu_read(g->pre, at, n, own_x);
  float *y = g->activated.data ? cpu_write(g->activated, at, own_y) : own_y;
  float *dx = cpu_write(g->c, at, own_dx);
  const float *dy = cpu_read(g->c, at, n, own_dx);
  switch (g->activation) {
  case OPS_GELU_TANH:
    BACKWARD(gelu_tanh) break;
  case OPS_GELU_ERF:
    BACKWARD(gelu_erf) break;
  case OPS_QUICK_GELU:
    BACKWARD(quick_gelu) break;
  }
  cpu_written(g->c, at, n, dx);
  if (g->activated.data) cpu_written(g->activated, at, n, y);
}
#else
/* 16 elements at a time, of constant type and activation. */
WIDE_INLINE void wide_activate(const ops_type type, const ops_activation activation,
                               const ops_activate *a, int64_t at, int64_t count) {
  for (int64_t i = at; i < at + count; i += 16) {
    const __mmask16 lanes = wide_first(at + count - i);
    __m512 slope, x = wide_read(type, a->pre, i, lanes);
    wide_write(type, a->c, i, lanes, wide_activation(activation, type == OPS_BF16, x, &slope));
  }
}

WIDE_INLINE void wide_gradient(const ops_type type, const ops_activation activation,
                               const ops_gemm *g, int64_t at, int64_t count) {
  for (int64_t i = at; i < at + count; i += 16) {
    const __mmask16 lanes = wide_first(at + count - i);
    __m512 slope, x = wide_read(type, g->pre, i, lanes), dy = wide_read(type, g->c, i, lanes);
    __m512 y = wide_activation(activation, type == OPS_BF16, x, &slope);
    wide_write(type, g->c, i, lanes, _mm512_mul_ps(dy, slope));
    if (g->activated.data) wide_write(type, g->activated, i, lanes, y);
  }
}

#define OF_TYPE(function, activation, op)                                                          \
  (op)->pre.type == OPS_BF16 ? function(OPS_BF16, activation, op, at, n)                           \
                             : function(OPS_F32, activation, op, at, n)
#define OF_ACTIVATION(function, op)                                                                \
  switch ((op)->activation) {                                                                      \
  case OPS_GELU_TANH:                                                                              \
    OF_TYPE(function, OPS_GELU_TANH, op);                                                          \
    break;                                                                                         \
  case OPS_GELU_ERF:                                                                               \
    OF_TYPE(function, OPS_GELU_ERF, op);                                                           \
    break;                                                                                         \
  case OPS_QUICK_GELU:                                                                             \
    OF_TYPE(function, OPS_QUICK_GELU, op);                                                         \
    break;                                                                                         \
  }

static void activate_strip(const ops_activate *a, int64_t at, int64_t n) {
  OF_ACTIVATION(wide_activate, a)
}

static void gradient_strip(const ops_gemm *g, int64_t at,
                           int64_t n){OF_ACTIVATION(wide_gradient, g)}
#endif

err CPU_KERNEL(activate)(ops *o, const ops_activate *a) {
  const int64_t strips = (a->count + STRIP - 1) / STRIP;
  (void)o;
#pragma omp parallel for schedule(static)
  for (int64_t strip = 0; strip < strips; strip++) {
    int64_t at, count = strip_of(a->count, strip, &at);
    activate_strip(a, at, count);
  }
  return NULL;
}

void CPU_KERNEL(activate_gradient)(const ops_gemm *g) {
  const int64_t elements = g->m * g->n, strips = (elements + STRIP - 1) / STRIP;
#pragma omp parallel for schedule(static)
  for (int64_t strip = 0; strip < strips; strip++) {
    int64_t at, count = strip_of(elements, strip, &at);
    gradient_strip(g, at, count);
  }
}
