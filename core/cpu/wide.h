/* Functions of 16 floats at once, for the variants with AVX-512. */
#ifndef FLIP_CPU_WIDE_H
#define FLIP_CPU_WIDE_H

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "ops/ops.h"

#define WIDE_INLINE static inline __attribute__((always_inline))

/* 2^x, 0 from -150 down, infinity from 128 up, NaN for NaN: to 2 ulp, or if `is_rough` to 3e-6. */
WIDE_INLINE __m512 wide_exp2(__m512 x, const bool is_rough) {
  __m512 r = _mm512_reduce_ps(x, 0), p; /* x - n, n the nearest integer */
  if (is_rough) {
    p = _mm512_set1_ps(0.009666368515f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.05592197584f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.2402234904f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.6931210452f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  } else {
    p = _mm512_set1_ps(0.001339086336f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.009676031918f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.05550357114f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.2402210749f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.693147188f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.000000075f));
  }
  return _mm512_scalef_ps(p, _mm512_sub_ps(x, r));
}

/* 1 / (1 + 2^x), for x = -y log2 e the sigmoid of y: to 3 ulp, or if `is_rough` to 3e-6; NaN for
 * NaN. rough, if `is_rough`: to 7e-5, a thirtieth of what rounding to bf16 changes. */
WIDE_INLINE __m512 wide_gate_of(__m512 x, const bool is_rough, __m512 *rough) {
  __m512 d = _mm512_add_ps(wide_exp2(x, is_rough), _mm512_set1_ps(1));
  __m512 y = *rough = _mm512_rcp14_ps(d);
  /* where d is infinite, the correction would be NaN */
  const __mmask16 is_finite = _mm512_cmp_ps_mask(x, _mm512_set1_ps(126), _CMP_NGE_UQ);
  return _mm512_maskz_mul_ps(is_finite, y, _mm512_fnmadd_ps(d, y, _mm512_set1_ps(2)));
}

/* Φ(x), as normal_cdf of activation.c. */
WIDE_INLINE __m512 wide_normal_cdf(__m512 x) {
  static const float p[] = {-0.7204177114f, 1.248708987f,    -0.8168191284f,
                            0.01766405861f, -0.04968026769f, 0.05150814697f,
                            0.3832025478f,  0.9990203459f,   -1.26546641f};
  const __m512 one = _mm512_set1_ps(1);
  __m512 z = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678f));
  __m512 d = _mm512_fmadd_ps(z, _mm512_set1_ps(0.5f), one), t = _mm512_rcp14_ps(d);
  const __mmask16 is_finite = _mm512_cmp_ps_mask(d, _mm512_set1_ps(INFINITY), _CMP_NGE_UQ);
  t = _mm512_maskz_mul_ps(is_finite, t, _mm512_fnmadd_ps(d, t, _mm512_set1_ps(2)));
  __m512 sum = _mm512_set1_ps(0.1522794838f);
#pragma GCC unroll 9
  for (int i = 0; i < 9; i++) sum = _mm512_fmadd_ps(sum, t, _mm512_set1_ps(p[i]));
  sum = _mm512_mul_ps(_mm512_fnmadd_ps(z, z, sum), _mm512_set1_ps(1.44269504f));
  __m512 tail = _mm512_mul_ps(_mm512_mul_ps(t, _mm512_set1_ps(0.5f)), wide_exp2(sum, false));
  const __mmask16 is_negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
  return _mm512_mask_mov_ps(_mm512_sub_ps(one, tail), is_negative, tail);
}

/* GELU is x Φ(x); in its approximate forms x sigmoid(inner(x)), with inner = sqrt(8 / pi) (x +
 * 0.044715 x^3) or, "quick", 1.702 x. Returns the sigmoid, in `rough` too as wide_gate_of gives it;
 * slope: inner's. */
WIDE_INLINE __m512 wide_gate(const ops_activation activation, const bool is_rough, __m512 x,
                             __m512 *rough, __m512 *slope) {
  const float log2_e = 1.44269504f, linear = 1.5957691216057308f, cubic = linear * 0.044715f;
  if (activation == OPS_QUICK_GELU) {
    *slope = _mm512_set1_ps(1.702f);
    return wide_gate_of(_mm512_mul_ps(x, _mm512_set1_ps(-1.702f * log2_e)), is_rough, rough);
  }
  __m512 square = _mm512_mul_ps(x, x);
  *slope = _mm512_fmadd_ps(square, _mm512_set1_ps(3 * cubic), _mm512_set1_ps(linear));
  __m512 inner =
      _mm512_fmadd_ps(square, _mm512_set1_ps(-cubic * log2_e), _mm512_set1_ps(-linear * log2_e));
  return wide_gate_of(_mm512_mul_ps(inner, x), is_rough, rough);
}

/* act(x). slope: Φ(x) + x φ(x); or s + x s (1 - s) inner'(x), which multiplies an error of s by up
 * to 20. Either costs nothing if it is not used, and act(x) has the same bits with both. */
WIDE_INLINE __m512 wide_activation(const ops_activation activation, const bool is_rough, __m512 x,
                                   __m512 *slope) {
  if (activation == OPS_GELU_ERF) {
    __m512 exponent = _mm512_mul_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(-0.5f * 1.44269504f));
    __m512 density = _mm512_mul_ps(wide_exp2(exponent, false), _mm512_set1_ps(0.39894228f));
    __m512 cdf = wide_normal_cdf(x);
    *slope = _mm512_fmadd_ps(x, density, cdf);
    return _mm512_mul_ps(x, cdf);
  }
  __m512 inner, rough, s = wide_gate(activation, is_rough, x, &rough, &inner);
  *slope = _mm512_fmadd_ps(_mm512_mul_ps(x, _mm512_fnmadd_ps(s, s, s)), inner, s);
  return _mm512_mul_ps(x, is_rough ? rough : s);
}

/* ---- bf16 ---- */

WIDE_INLINE __m512 wide_of_bf16(__m256i bits) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

/* 32 numbers, in one instruction each: a word goes to the upper half of each float. */
WIDE_INLINE void wide_of_pair(__m512i bits, __m512 *first, __m512 *second) {
  const __m512i at =
      _mm512_set_epi32(15 << 16, 14 << 16, 13 << 16, 12 << 16, 11 << 16, 10 << 16, 9 << 16, 8 << 16,
                       7 << 16, 6 << 16, 5 << 16, 4 << 16, 3 << 16, 2 << 16, 1 << 16, 0);
  const __mmask32 upper = 0xaaaaaaaa;
  *first = _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(upper, at, bits));
  *second = _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(
      upper, _mm512_add_epi32(at, _mm512_set1_epi32(16 << 16)), bits));
}

/* The same roundings as bf16_of_float, to nearest even, and of NaN. */
WIDE_INLINE __m256i wide_to_bf16(__m512 x) {
#ifdef __AVX512BF16__
  return (__m256i)_mm512_cvtneps_pbh(x);
#else
  __m512i bits = _mm512_castps_si512(x);
  __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  rounded = _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
#endif
}

WIDE_INLINE __mmask16 wide_first(int64_t count) {
  const unsigned lanes = count >= 16 ? 0xffff : count <= 0 ? 0 : (1u << count) - 1;
  return (__mmask16)lanes;
}

/* Up to 16 numbers from offset `at` on of either type; `type` is b.type, as a constant. */
WIDE_INLINE __m512 wide_read(const ops_type type, ops_buffer b, int64_t at, __mmask16 lanes) {
  if (type == OPS_F32) return _mm512_maskz_loadu_ps(lanes, (const float *)b.data + at);
  return wide_of_bf16(_mm256_maskz_loadu_epi16(lanes, (const uint16_t *)b.data + at));
}

WIDE_INLINE void wide_write(const ops_type type, ops_buffer b, int64_t at, __mmask16 lanes,
                            __m512 value) {
  if (type == OPS_F32)
    _mm512_mask_storeu_ps((float *)b.data + at, lanes, value);
  else
    _mm256_mask_storeu_epi16((uint16_t *)b.data + at, lanes, wide_to_bf16(value));
}

/* The same, and returns the value as stored. */
WIDE_INLINE __m512 wide_stored(const ops_type type, ops_buffer b, int64_t at, __mmask16 lanes,
                               __m512 value) {
  wide_write(type, b, at, lanes, value);
  return type == OPS_F32 ? value : wide_of_bf16(wide_to_bf16(value));
}

#endif
