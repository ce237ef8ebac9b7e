/* The portability layer for the kernels: plain CUDA C that nvcc compiles for the device, and the
 * host's C compiler for tests/simt, where there is no GPU. Hence no templates, no references, and
 * casts where C++ requires them; what a device has and the host lacks is defined here for both.
 *
 * A kernel takes one structure by value, usually the op's own from ops.h, and is written for any
 * type of activations: `name_body(a, type)` with a constant type, from which KERNEL_PAIR generates
 * the kernels name_f32 and name_bf16. */
#ifndef FLIP_CUDA_KERNEL_CUH
#define FLIP_CUDA_KERNEL_CUH

#include <float.h>
#include <math.h>
#include <stdint.h>

#include "ops/ops.h"

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#define DEVICE static __device__ __forceinline__
/* blocks: the number for which a multiprocessor must have registers at a time. */
#define KERNEL_BLOCKS(name, arguments, threads, blocks)                                            \
  static __global__ void __launch_bounds__(threads, blocks) name(const arguments a)
/* Aligned for the widest loads and stores, which a type of four bytes alone does not promise. */
#define SHARED(type, name, count) __shared__ __align__(16) type name[count]
#define SHARED_DYNAMIC(type, name)                                                                 \
  extern __shared__ uint4 kernel_shared[];                                                         \
  type *name = (type *)kernel_shared
/* A cudaError_t as int. */
#define CUDA_LAUNCH(kernel, grid, threads, shared_bytes, stream, arguments)                        \
  (kernel<<<grid, (unsigned)(threads), shared_bytes, (cudaStream_t)(stream)>>>(arguments),         \
   (int)cudaGetLastError())
#define GRID(columns, rows) dim3((unsigned)(columns), (unsigned)(rows))
#define CUDA_ALLOW_SHARED(kernel, bytes)                                                           \
  kernel_allow_shared((const void *)(kernel), (size_t)(bytes))
#define UNROLL _Pragma("unroll")
#define NO_UNROLL _Pragma("unroll 1")
/* The compiler assumes that the register has changed, and so keeps no values computed from it. */
#define MADE_ANEW(word) asm volatile("" : "+r"(word))
#define UNROLL_EIGHT _Pragma("unroll 8") /* keeps that many loads in flight */
/* After lanes took different ways, before what a whole warp does at once (fragments, products): no
 * memory is waited for. */
#define WARP_CONVERGES __syncwarp(0xFFFFFFFFu)
enum { KERNEL_INVALID = cudaErrorInvalidValue };

/* Dynamic shared memory beyond 48 KiB has to be requested. The limit is never lowered: a step that
 * is being recorded may have launched the kernel with more. */
static inline int kernel_allow_shared(const void *kernel, size_t bytes) {
  cudaFuncAttributes now;
  if (bytes <= 48 << 10) return 0;
  cudaError_t failed = cudaFuncGetAttributes(&now, kernel);
  if (failed != cudaSuccess || (size_t)now.maxDynamicSharedSizeBytes >= bytes) return (int)failed;
  return (int)cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
}

/* The compute capability, in tenths, for which the code was compiled that this device runs; 0 where
 * it is not known. A library holds code for a few: a device of 8.9 runs that of 8.0. */
#define CUDA_COMPILED_FOR(kernel) kernel_compiled_for((const void *)(kernel))
static inline int kernel_compiled_for(const void *kernel) {
  cudaFuncAttributes now;
  return cudaFuncGetAttributes(&now, kernel) == cudaSuccess ? now.ptxVersion : 0;
}

/* Clears a handled error, so that the next check for errors does not see it. */
#define CUDA_FORGET_ERROR ((void)cudaGetLastError())

#else

#include "simt/simt.h"

/* uint4 may alias anything, as on a device. */
typedef struct {
  uint32_t x, y, z, w;
} __attribute__((aligned(16), may_alias)) uint4;
typedef struct {
  uint32_t x, y;
} __attribute__((aligned(8), may_alias)) uint2;

#define DEVICE static inline
#define KERNEL_BLOCKS(name, arguments, threads, blocks)                                            \
  static void name##_thread(const arguments a);                                                    \
  static void name(const void *a) {                                                                \
    simt_launch_bound(threads);                                                                    \
    name##_thread(*(const arguments *)a);                                                          \
  }                                                                                                \
  static void name##_thread(const arguments a)
#define SHARED(type, name, count)                                                                  \
  static simt_shared_slot name##_slot;                                                             \
  type *const name = (type *)simt_shared(&name##_slot, (size_t)(count) * sizeof(type))
#define SHARED_DYNAMIC(type, name) type *const name = (type *)simt_shared_dynamic()
#define CUDA_LAUNCH(kernel, grid, threads, shared_bytes, stream, arguments)                        \
  simt_launch_on(stream, &(const simt_call){#kernel, kernel, &(arguments), sizeof(arguments),      \
                                            grid, (unsigned)(threads), (size_t)(shared_bytes)})
#define GRID(columns, rows) ((simt_index){(unsigned)(columns), (unsigned)(rows), 1})
#define CUDA_ALLOW_SHARED(kernel, bytes) simt_allow_shared(kernel, (size_t)(bytes))
#define CUDA_COMPILED_FOR(kernel) simt_compiled_for()
#define UNROLL
#define NO_UNROLL
#define UNROLL_EIGHT
#define WARP_CONVERGES ((void)0)
#define MADE_ANEW(word) ((void)(word))
enum { KERNEL_INVALID = 1 };
#define CUDA_FORGET_ERROR ((void)0)

#endif

#define KERNEL(name, arguments, threads) KERNEL_BLOCKS(name, arguments, threads, 1)

/* Of a launcher whose kernel this device cannot hold; no cudaError_t. */
enum { KERNEL_REFUSED = -1 };

#define KERNEL_PAIR(name, arguments, threads)                                                      \
  KERNEL(name##_f32, arguments, threads) {                                                         \
    name##_body(a, OPS_F32);                                                                       \
  }                                                                                                \
  KERNEL(name##_bf16, arguments, threads) {                                                        \
    name##_body(a, OPS_BF16);                                                                      \
  }
#define LAUNCH_PAIR(name, type, grid, threads, shared_bytes, stream, arguments)                    \
  ((type) == OPS_BF16 ? CUDA_LAUNCH(name##_bf16, grid, threads, shared_bytes, stream, arguments)   \
                      : CUDA_LAUNCH(name##_f32, grid, threads, shared_bytes, stream, arguments))

enum {
  LANES = 32,
  PACK = 8, /* elements that a thread processes at once: 16 bytes of bf16 */
  QUAD = 4  /* the same of fp32 */
};
#define FULL_WARP 0xFFFFFFFFu

DEVICE int thread_index(void) {
  return (int)threadIdx.x;
}

DEVICE int block_threads(void) {
  return (int)blockDim.x;
}

/* Unsigned, so that what is divided from them needs no care for signs. */
DEVICE int lane_index(void) {
  return (int)(threadIdx.x % (unsigned)LANES);
}

DEVICE int warp_index(void) {
  return (int)(threadIdx.x / (unsigned)LANES);
}

/* Rows are distributed over warps: this warp's row, and the number of warps in the grid. */
DEVICE int64_t grid_warp(void) {
  return (int64_t)blockIdx.x * (block_threads() / LANES) + warp_index();
}

DEVICE int64_t grid_warps(void) {
  return (int64_t)gridDim.x * (block_threads() / LANES);
}

DEVICE int64_t grid_thread(void) {
  return (int64_t)blockIdx.x * block_threads() + thread_index();
}

DEVICE int64_t grid_threads(void) {
  return (int64_t)gridDim.x * block_threads();
}

DEVICE float float_of_bits(uint32_t bits) {
#ifdef __CUDACC__
  return __uint_as_float(bits);
#else
  union {
    uint32_t bits;
    float value;
  } both = {bits};
  return both.value;
#endif
}

DEVICE uint32_t bits_of_float(float value) {
#ifdef __CUDACC__
  return __float_as_uint(value);
#else
  union {
    float value;
    uint32_t bits;
  } both = {value};
  return both.bits;
#endif
}

DEVICE float float_of_bf16(uint16_t bits) {
  return float_of_bits((uint32_t)bits << 16);
}

/* To nearest, ties to even; NaN stays NaN. */
DEVICE uint16_t bf16_of_float(float value) {
#ifdef __CUDACC__
  return __bfloat16_as_ushort(__float2bfloat16_rn(value));
#else
  uint32_t bits = bits_of_float(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return 0x7FFF;
  return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
#endif
}

/* Two neighbours in one register, `low` at the lower address. */
DEVICE uint32_t bf16_pair(float low, float high) {
#ifdef __CUDACC__
  uint32_t both; /* one instruction, which the compiler does not generate from two conversions */
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
#else
  return (uint32_t)bf16_of_float(low) | (uint32_t)bf16_of_float(high) << 16;
#endif
}

/* One element of a buffer of compute or master type, whichever `type` says. */
DEVICE float load_element(const void *base, int type, int64_t at) {
  return type == OPS_BF16 ? float_of_bf16(((const uint16_t *)base)[at]) : ((const float *)base)[at];
}

DEVICE void store_element(void *base, int type, int64_t at, float value) {
  if (type == OPS_BF16)
    ((uint16_t *)base)[at] = bf16_of_float(value);
  else
    ((float *)base)[at] = value;
}

/* The value after a store and a load. */
DEVICE float rounded_to(int type, float value) {
  return type == OPS_BF16 ? float_of_bf16(bf16_of_float(value)) : value;
}

typedef struct {
  float v[PACK];
} pack;

/* PACK elements from `at`, of which the first `count` exist; the others read as 0. With is_vector
 * the caller guarantees that all exist and that the address is aligned to 16 bytes. */
DEVICE pack pack_load(const void *base, int type, int64_t at, int64_t count, bool is_vector) {
  pack p;
  if (!is_vector) {
    UNROLL for (int i = 0; i < PACK; i++) p.v[i] = i < count ? load_element(base, type, at + i) : 0;
  } else if (type == OPS_BF16) {
    uint4 words = *(const uint4 *)((const uint16_t *)base + at);
    uint32_t word[4] = {words.x, words.y, words.z, words.w};
    UNROLL for (int i = 0; i < 4; i++) {
      p.v[2 * i] = float_of_bits(word[i] << 16);
      p.v[2 * i + 1] = float_of_bits(word[i] & 0xFFFF0000u);
    }
  } else {
    UNROLL for (int half = 0; half < 2; half++) {
      uint4 words = ((const uint4 *)((const float *)base + at))[half];
      p.v[half * 4] = float_of_bits(words.x);
      p.v[half * 4 + 1] = float_of_bits(words.y);
      p.v[half * 4 + 2] = float_of_bits(words.z);
      p.v[half * 4 + 3] = float_of_bits(words.w);
    }
  }
  return p;
}

/* One store of 16 bytes to an aligned address of the device's memory. The compiler splits one that
 * it generates into four where the words are used apart. */
DEVICE void store_16(void *to, uint4 words) {
#ifdef __CUDACC__
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};"
               :
               : "l"(__cvta_generic_to_global(to)), "r"(words.x), "r"(words.y), "r"(words.z),
                 "r"(words.w)
               : "memory");
#else
  *(uint4 *)to = words;
#endif
}

DEVICE void pack_store(void *base, int type, int64_t at, int64_t count, bool is_vector, pack p) {
  if (!is_vector) {
    UNROLL for (int i = 0; i < PACK; i++) {
      if (i < count) store_element(base, type, at + i, p.v[i]);
    }
  } else if (type == OPS_BF16) {
    uint4 words;
    words.x = bf16_pair(p.v[0], p.v[1]);
    words.y = bf16_pair(p.v[2], p.v[3]);
    words.z = bf16_pair(p.v[4], p.v[5]);
    words.w = bf16_pair(p.v[6], p.v[7]);
    store_16((uint16_t *)base + at, words);
  } else {
    UNROLL for (int half = 0; half < 2; half++) {
      uint4 words;
      words.x = bits_of_float(p.v[half * 4]);
      words.y = bits_of_float(p.v[half * 4 + 1]);
      words.z = bits_of_float(p.v[half * 4 + 2]);
      words.w = bits_of_float(p.v[half * 4 + 3]);
      ((uint4 *)((float *)base + at))[half] = words;
    }
  }
}

typedef struct {
  float v[QUAD];
} quad;

/* Four floats from `at`, of which `count` exist. */
DEVICE quad quad_load(const float *base, int64_t at, int64_t count, bool is_vector) {
  quad q;
  if (is_vector && count >= QUAD) {
    uint4 words = *(const uint4 *)(base + at);
    q.v[0] = float_of_bits(words.x);
    q.v[1] = float_of_bits(words.y);
    q.v[2] = float_of_bits(words.z);
    q.v[3] = float_of_bits(words.w);
  } else {
    UNROLL for (int i = 0; i < QUAD; i++) q.v[i] = i < count ? base[at + i] : 0;
  }
  return q;
}

DEVICE void quad_store(float *base, int64_t at, int64_t count, bool is_vector, quad q) {
  if (is_vector && count >= QUAD) {
    uint4 words;
    words.x = bits_of_float(q.v[0]);
    words.y = bits_of_float(q.v[1]);
    words.z = bits_of_float(q.v[2]);
    words.w = bits_of_float(q.v[3]);
    *(uint4 *)(base + at) = words;
  } else {
    UNROLL for (int i = 0; i < QUAD; i++) {
      if (i < count) base[at + i] = q.v[i];
    }
  }
}

/* Warp-wide; every lane gets the same bits. */
DEVICE float warp_sum(float value) {
  for (int flip = LANES / 2; flip > 0; flip /= 2) value += __shfl_xor_sync(FULL_WARP, value, flip);
  return value;
}

DEVICE double warp_sum_double(double value) {
  for (int flip = LANES / 2; flip > 0; flip /= 2) value += __shfl_xor_sync(FULL_WARP, value, flip);
  return value;
}

DEVICE float warp_max(float value) {
  for (int flip = LANES / 2; flip > 0; flip /= 2)
    value = fmaxf(value, __shfl_xor_sync(FULL_WARP, value, flip));
  return value;
}

/* Raises *maximum (NULL: none) to the largest of the lanes' non-negative `most`, whose order is
 * that of their bits: an integer atomic gives the same result in each run. Warp-wide. */
DEVICE void raise_by_warp(float *maximum, float most) {
  if (!maximum) return;
  most = warp_max(most);
  if (lane_index() == 0) atomicMax((unsigned *)maximum, bits_of_float(most));
}

/* The larger of `most` and the two bf16 of a word, by size, as a bf16's bits; NaN counts as
 * nothing.
 */
DEVICE uint32_t larger_of_pair(uint32_t most, uint32_t word) {
  const uint32_t infinite = 0x7F80u;
  uint32_t low = word & 0x7FFFu, high = word >> 16 & 0x7FFFu;
  if (low <= infinite && low > most) most = low;
  return high <= infinite && high > most ? high : most;
}

/* Over a block of whole warps, added in warp order; every thread gets the sum. Once per kernel: a
 * second call would need a barrier before it. */
DEVICE double block_sum_double(double value) {
  SHARED(double, sums, LANES);
  double total = 0;
  value = warp_sum_double(value);
  if (lane_index() == 0) sums[warp_index()] = value;
  __syncthreads();
  for (int warp = 0; warp < block_threads() / LANES; warp++) total += sums[warp];
  return total;
}

/* Sums over rows are computed in parts by many blocks; then a block of PARTS_BLOCK threads adds the
 * parts of 32 columns: each warp every eighth part, then the warps in order. parts [count,
 * columns]; returned to the first warp: the sum of column 32 * blockIdx.x + lane. */
enum { PARTS_BLOCK = 256 };

DEVICE float sum_of_parts(const float *parts, int64_t count, int64_t columns) {
  SHARED(float, sums, PARTS_BLOCK);
  int64_t column = (int64_t)blockIdx.x * LANES + lane_index();
  float sum = 0;
  UNROLL_EIGHT for (int64_t part = warp_index(); part < count && column < columns;
                    part += PARTS_BLOCK / LANES) sum += parts[part * columns + column];
  sums[thread_index()] = sum;
  __syncthreads();
  sum = 0;
  for (int warp = 0; warp < PARTS_BLOCK / LANES && warp_index() == 0; warp++)
    sum += sums[warp * LANES + lane_index()];
  return sum;
}

/* For launchers. */
static inline int64_t divided_up(int64_t count, int64_t by) {
  return (count + by - 1) / by;
}

static inline int64_t at_most(int64_t value, int64_t limit) {
  return value < limit ? value : limit;
}

/* Rows of `width` elements that start at `base` can be read 16 bytes at a time. */
static inline bool is_row_vector(int64_t width, const void *base) {
  return width % PACK == 0 && (uintptr_t)base % 16 == 0;
}

#endif
