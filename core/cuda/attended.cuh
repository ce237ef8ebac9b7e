/* What the kernels of ops_attended share. */
#ifndef FLIP_CUDA_ATTENDED_CUH
#define FLIP_CUDA_ATTENDED_CUH

#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

typedef struct {
  ops_attended op;
  int warps;   /* that compute: as many as shared memory has room for */
  float scale; /* 1 / sqrt(head_width) */
} attended_arguments;

/* Adds what the first `warps` warps of the block have summed, in order, to the image's scores;
 * warp w's sums begin at room[w * pitch]. After a barrier. */
DEVICE void add_scores(const attended_arguments *a, const float *room, int pitch, int warps) {
  const ops_attended *op = &a->op;
  int keys = (int)(op->tokens - op->first);
  for (int j = thread_index(); j < keys; j += block_threads()) {
    float total = 0;
    for (int w = 0; w < warps; w++) total += room[w * pitch + (int)op->first + j];
    ((float *)op->scores.data)[(int64_t)blockIdx.x * keys + j] += (float)op->weight * total;
  }
}

#ifdef __cplusplus
extern "C" {
#endif
/* attended_short.cu: many queries in bf16, by tensor cores. KERNEL_REFUSED if the device has too
 * little shared memory. */
int attended_is_short(const ops_attended *op);
int kernel_attended_short(const attended_arguments *a, void *stream);
#ifdef __cplusplus
}
#endif
#endif
