/* GELU in its three forms, and their derivatives, elementwise.
 *
 * Bound: memory beyond the caches, exp within them; the gemm calls it on chunks still in cache. */
#include "cpu/kernel.h"

enum { STRIP = 512 };

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

static inline float gelu_erf(float x) {
  return 0.5f * x * (1.0f + erff(x * 0.70710678f));
}

static inline float gelu_erf_slope(float x) {
  return 0.5f * (1.0f + erff(x * 0.70710678f)) + x * 0.39894228f * cpu_exp(-0.5f * x * x);
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

err CPU_KERNEL(activate)(ops *o, const ops_activate *a) {
  const int64_t count = a->count;
  const ops_buffer pre = a->pre, c = a->c;
  (void)o;
  switch (a->activation) {
  case OPS_GELU_TANH:
    FORWARD(gelu_tanh) break;
  case OPS_GELU_ERF:
    FORWARD(gelu_erf) break;
  case OPS_QUICK_GELU:
    FORWARD(quick_gelu) break;
  }
  return NULL;
}

void CPU_KERNEL(activate_gradient)(ops_activation activation, int64_t count, ops_buffer pre,
                                   ops_buffer c) {
  switch (activation) {
  case OPS_GELU_TANH:
    BACKWARD(gelu_tanh_slope) break;
  case OPS_GELU_ERF:
    BACKWARD(gelu_erf_slope) break;
  case OPS_QUICK_GELU:
    BACKWARD(quick_gelu_slope) break;
  }
}
