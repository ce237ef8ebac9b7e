/* 8-bit floats, emulated (OFP8, 2023). */
#ifndef FLIP_CPU_FP8_H
#define FLIP_CPU_FP8_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef enum { CPU_E4M3, CPU_E5M2 } cpu_fp8;

/* The nearest value of an 8-bit float, ties to even, saturating; NaN stays NaN. */
static inline float cpu_round_fp8(cpu_fp8 format, float value) {
  const int shift = format == CPU_E4M3 ? 20 : 21; /* bits of a float's mantissa that are dropped */
  const float largest = format == CPU_E4M3 ? 448.0f : 57344.0f;
  const float least = format == CPU_E4M3 ? 0x1p-6f : 0x1p-14f; /* the smallest normal number */
  const float units = format == CPU_E4M3 ? 0x1p14f : 0x1p7f;   /* 2^23 of the steps below it */
  float size = fabsf(value), normal, small = (size + units) - units;
  uint32_t bits;
  memcpy(&bits, &size, 4);
  bits += (1u << (shift - 1)) - 1 + (bits >> shift & 1); /* to nearest, ties to even */
  bits &= ~((1u << shift) - 1);
  memcpy(&normal, &bits, 4);
  float rounded = size < least ? small : normal;
  rounded = size >= largest ? largest : rounded;
  return value != value ? value : copysignf(rounded, value);
}

/* The 8 bits of a number of the format; NaN is 0x7F. */
static inline uint8_t cpu_code_fp8(cpu_fp8 format, float number) {
  const int shift = format == CPU_E4M3 ? 20 : 21;
  const uint32_t bias =
      format == CPU_E4M3 ? 120 : 112; /* of a float's exponent over the format's */
  const float least = format == CPU_E4M3 ? 0x1p-6f : 0x1p-14f;
  const float steps = format == CPU_E4M3 ? 0x1p9f : 0x1p16f; /* numbers below `least` are whole */
  uint32_t bits;
  memcpy(&bits, &number, 4);
  float size = fabsf(number);
  size = size == size ? size : 0;
  const uint32_t normal = (bits >> shift & (0xFFu << (23 - shift) | ((1u << (23 - shift)) - 1))) -
                          (bias << (23 - shift));
  const uint32_t small = (uint32_t)(int32_t)((size < least ? size : 0) * steps);
  const uint32_t code = (bits >> 24 & 0x80u) | (size < least ? small : normal);
  return number == number ? (uint8_t)code : 0x7F;
}

/* The number of an 8-bit code as this file's functions make them. */
static inline float cpu_fp8_value(cpu_fp8 format, uint8_t code) {
  const int mantissa_bits = format == CPU_E4M3 ? 3 : 2, bias = format == CPU_E4M3 ? 7 : 15;
  const int exponent = (code & 0x7F) >> mantissa_bits, mantissa = code & ((1 << mantissa_bits) - 1);
  const float fraction = (float)mantissa / (float)(1 << mantissa_bits);
  const float size = exponent ? ldexpf(1 + fraction, exponent - bias) : ldexpf(fraction, 1 - bias);
  const bool is_nan = format == CPU_E4M3 ? (code & 0x7F) == 0x7F : (code & 0x7F) > 0x7C;
  return is_nan ? NAN : code & 0x80 ? -size : size;
}

#endif
