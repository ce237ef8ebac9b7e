/* Conversion to 8-bit floats: with the device's instruction where available (sm_89 and later), and
 * with the same result in integer arithmetic elsewhere and in the tests. */
#ifndef FLIP_CUDA_FP8_CUH
#define FLIP_CUDA_FP8_CUH

#include "cuda/kernel.cuh"

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
#include <cuda_fp8.h>
#endif

/* Where there are no 8-bit products, kernels do without code for their operands. Devices that have
 * them may still run such code (CUDA_COMPILED_FOR): a launcher must ask. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 890
enum { HAS_FP8 = 0 };
#else
enum { HAS_FP8 = 1 };
#endif

DEVICE float fp8_largest(ops_fp8 format) {
  return format == OPS_E4M3 ? 448.0f : 57344.0f;
}

/* To nearest, ties to even; saturates at the largest finite value; NaN gives 0x7F. */
DEVICE uint8_t fp8_of_float(ops_fp8 format, float value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  return (uint8_t)__nv_cvt_float_to_fp8(value, __NV_SATFINITE,
                                        format == OPS_E4M3 ? __NV_E4M3 : __NV_E5M2);
#else
  const int mantissa = format == OPS_E4M3 ? 3 : 2, bias = format == OPS_E4M3 ? 7 : 15;
  const int shift = 23 - mantissa;
  uint32_t sign = bits_of_float(value) >> 24 & 0x80u;
  if (value != value) return 0x7F;
  float size = fminf(fabsf(value), fp8_largest(format));
  uint32_t bits = bits_of_float(size);
  if (bits < (uint32_t)(128 - bias) << 23) {
    /* below the smallest normal number values are multiples of 2^(1 - bias - mantissa): adding
     * 2^23 of these units leaves the rounded multiple in the low bits */
    float units = float_of_bits((uint32_t)(128 - bias - mantissa + 23) << 23);
    return (uint8_t)(sign | (bits_of_float(size + units) - bits_of_float(units)));
  }
  bits += (1u << (shift - 1)) - 1 + (bits >> shift & 1);
  return (uint8_t)(sign | ((bits >> shift) - ((uint32_t)(127 - bias) << mantissa)));
#endif
}

/* Four bytes as a word. */
DEVICE uint32_t word_of(const uint8_t *bytes) {
  uint32_t word = 0;
  UNROLL for (int j = 0; j < 4; j++) word |= (uint32_t)bytes[j] << (8 * j);
  return word;
}

/* A pack times the factor, rounded. */
DEVICE uint2 rounded_pack(ops_fp8 format, const pack *x, float factor) {
  uint8_t bytes[PACK];
  uint2 words;
  UNROLL for (int j = 0; j < PACK; j++) bytes[j] = fp8_of_float(format, x->v[j] * factor);
  words.x = word_of(bytes);
  words.y = word_of(bytes + 4);
  return words;
}

/* What delayed scaling records of the values that a thread rounds. */
typedef struct {
  float most;
  int saturated;
} fp8_record;

DEVICE void record_pack(fp8_record *r, const pack *x, float factor, float largest) {
  UNROLL for (int j = 0; j < PACK; j++) {
    r->most = fmaxf(r->most, fabsf(x->v[j]));
    if (fabsf(x->v[j] * factor) > largest) r->saturated++;
  }
}

/* Of a warp, into an operand's scale. */
DEVICE void store_record(float *scale, const fp8_record *r, bool has_maximum) {
  if (!has_maximum) raise_by_warp(scale + OPS_SCALE_MAXIMUM, r->most);
  if (r->saturated > 0) atomicAdd((int *)scale + OPS_SCALE_SATURATED, r->saturated);
}

#endif
