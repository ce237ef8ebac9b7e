/* 8-bit floats, emulated (OFP8, 2023). */
#ifndef FLIP_CPU_FP8_H
#define FLIP_CPU_FP8_H

#include <math.h>
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

#endif
