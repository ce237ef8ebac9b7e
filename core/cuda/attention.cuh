/* What the attention files share, in bf16 (tensor cores) and in fp32. */
#ifndef FLIP_CUDA_ATTENTION_CUH
#define FLIP_CUDA_ATTENTION_CUH

#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

#define LOG2_E 1.4426950408889634f
#define LN_2 0.6931471805599453f

typedef struct {
  ops_attention a;
  float *products; /* [batch, heads, tokens]: sums of dout * out; backward only */
  float *parts; /* [batch, 3, heads, head_width]: sums over each sample's dqkv, or NULL; likewise */
  float scale;  /* 1 / sqrt(head_width) */
  int deep;     /* head width, rounded up to 16 */
  int64_t tiles; /* of rows, for each image and head */
  bool is_vector;
} attention_arguments;

/* The rows of a block: tile `blockIdx.x % tiles` of one head of one image. */
typedef struct {
  int64_t image, head, first;
} head_tile;

DEVICE head_tile tile_of(const attention_arguments *a, int rows) {
  int64_t which = blockIdx.x / a->tiles;
  head_tile t = {which / a->a.heads, which % a->a.heads, blockIdx.x % a->tiles * rows};
  return t;
}

/* Element offsets of a token's q, k or v (part 0, 1, 2), of its out, and of its statistics. */
DEVICE int64_t qkv_offset(const ops_attention *a, head_tile t, int64_t token, int part) {
  return (((t.image * a->tokens + token) * 3 + part) * a->heads + t.head) * a->head_width;
}

DEVICE int64_t out_offset(const ops_attention *a, head_tile t, int64_t token) {
  return ((t.image * a->tokens + token) * a->heads + t.head) * a->head_width;
}

DEVICE int64_t row_offset(const ops_attention *a, head_tile t, int64_t token) {
  return (t.image * a->heads + t.head) * a->tokens + token;
}

/* Keys of the image that are attended to. */
DEVICE int64_t keys_of(const ops_attention *a, head_tile t) {
  int64_t count = a->key_counts.data ? ((const int32_t *)a->key_counts.data)[t.image] : a->tokens;
  return count < a->tokens ? count : a->tokens;
}

/* How many of `keys` query `query` sees. */
DEVICE int64_t visible_to(const ops_attention *a, int64_t keys, int64_t query) {
  return a->is_causal && query + 1 < keys ? query + 1 : keys;
}

/* The kernels for heads of up to 32, 64 and 128: register arrays have the larger size, and steps
 * beyond the head's own width are skipped. */
#define HEAD_KERNELS(name, threads)                                                                \
  KERNEL(name##_32, attention_arguments, threads) {                                                \
    name##_body(a, 32);                                                                            \
  }                                                                                                \
  KERNEL(name##_64, attention_arguments, threads) {                                                \
    name##_body(a, 64);                                                                            \
  }                                                                                                \
  KERNEL(name##_128, attention_arguments, threads) {                                               \
    name##_body(a, 128);                                                                           \
  }
/* Launches the kernel for the head width, after allowing it that much shared memory. */
#define LAUNCH_ONE_HEAD(kernel, grid, threads, shared_bytes, stream, arguments)                    \
  (CUDA_ALLOW_SHARED(kernel, shared_bytes)                                                         \
       ? KERNEL_INVALID                                                                            \
       : CUDA_LAUNCH(kernel, grid, threads, shared_bytes, stream, arguments))
#define LAUNCH_HEAD(name, grid, threads, shared_bytes, stream, arguments)                          \
  ((arguments).deep <= 32                                                                          \
       ? LAUNCH_ONE_HEAD(name##_32, grid, threads, shared_bytes, stream, arguments)                \
   : (arguments).deep <= 64                                                                        \
       ? LAUNCH_ONE_HEAD(name##_64, grid, threads, shared_bytes, stream, arguments)                \
       : LAUNCH_ONE_HEAD(name##_128, grid, threads, shared_bytes, stream, arguments))

#ifdef __cplusplus
extern "C" {
#endif
attention_arguments attention_arguments_of(const ops_attention *p, void *scratch);
int attention_is_impossible(const ops_attention *p);
/* attention_short.cu, attention_short_gradient.cu, attention_walk_gradient.cu: kernels in which a
 * block handles a whole head. KERNEL_REFUSED if the device has too little shared memory. */
int attention_is_short(const attention_arguments *a);
int kernel_attention_short(const attention_arguments *a, void *stream);
int kernel_attention_gradient_short(const attention_arguments *a, void *stream);
int kernel_attention_gradient_walk(const attention_arguments *a, void *stream);
/* attention_f32.cu */
int kernel_attention_f32(const attention_arguments *a, void *stream);
int kernel_attention_gradient_f32(const attention_arguments *a, void *stream);
#ifdef __cplusplus
}
#endif
#endif
