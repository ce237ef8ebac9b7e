/* GELU in its three forms and their derivatives. */
#ifndef FLIP_CUDA_ACTIVATION_CUH
#define FLIP_CUDA_ACTIVATION_CUH

#include "cuda/kernel.cuh"

/* When the result is rounded to bf16, the device's fast exp and division are used, which are
 * accurate to about 1e-6 and take a third of the instructions. */
DEVICE float sigmoid(float x, const int type) {
#ifdef __CUDACC__
  if (type == OPS_BF16) return __fdividef(1.0f, 1.0f + __expf(-x));
#else
  (void)type;
#endif
  return 1.0f / (1.0f + expf(-x));
}

/* tanh form: x Φ̃(x) = x sigmoid(2u), u = sqrt(2/π) (x + 0.044715 x³). */
DEVICE float tanh_form_inner(float x) {
  return 1.5957691216057308f * (x + 0.044715f * x * x * x);
}

DEVICE float activated(ops_activation activation, float x, const int type) {
  if (activation == OPS_GELU_TANH) return x * sigmoid(tanh_form_inner(x), type);
  if (activation == OPS_GELU_ERF) return 0.5f * x * (1.0f + erff(x * 0.70710678f));
  return x * sigmoid(1.702f * x, type);
}

DEVICE float activation_slope(ops_activation activation, float x, const int type) {
  if (activation == OPS_GELU_TANH) {
    float s = sigmoid(tanh_form_inner(x), type);
    return s + x * s * (1.0f - s) * 1.5957691216057308f * (1.0f + 0.134145f * x * x);
  }
  if (activation == OPS_GELU_ERF)
    return 0.5f * (1.0f + erff(x * 0.70710678f)) + x * 0.39894228f * expf(-0.5f * x * x);
  float s = sigmoid(1.702f * x, type);
  return s + 1.702f * x * s * (1.0f - s);
}

#endif
