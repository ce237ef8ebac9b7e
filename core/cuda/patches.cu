/* The patch gather: from 8-bit images directly to normalised rows of kept patches. Dropped patches
 * are never read.
 *
 * Bound: memory, mainly writes: 3 bytes in, 6 (bf16) or 12 out per pixel. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

enum { GATHER_BLOCK = 128, CHANNELS = 3 };

typedef struct {
  int64_t size, patch, keep;
  float scale[CHANNELS], shift[CHANNELS];
  const uint8_t *images;
  const int32_t *index;
  ops_buffer patches;
} gather_arguments;

/* Eight pixels, 24 bytes, as three loads of 8 bytes; a row of a patch starts at a multiple of 24
 * bytes when the patch is 8 pixels wide or a multiple of that. */
DEVICE void read_pixels(const uint8_t *from, uint8_t *bytes) {
  UNROLL for (int i = 0; i < CHANNELS; i++) {
    uint2 words = ((const uint2 *)from)[i];
    UNROLL for (int j = 0; j < 4; j++) {
      bytes[i * 8 + j] = (uint8_t)(words.x >> (8 * j));
      bytes[i * 8 + 4 + j] = (uint8_t)(words.y >> (8 * j));
    }
  }
}

/* One patch by the whole block; `run`: pixels that a thread processes at once, PACK or 1. */
DEVICE void gather_patch(const gather_arguments *a, const int type, const int run) {
  int64_t which = a->index[blockIdx.x], area = a->patch * a->patch, side = a->size / a->patch;
  int64_t top = which / side * a->patch, left = which % side * a->patch;
  const uint8_t *image = a->images + (int64_t)blockIdx.x / a->keep * a->size * a->size * CHANNELS;
  int64_t to = (int64_t)blockIdx.x * CHANNELS * area;
  for (int64_t pixel = (int64_t)thread_index() * run; pixel < area;
       pixel += (int64_t)block_threads() * run) {
    uint8_t bytes[CHANNELS * PACK] = {0};
    if (which >= 0) {
      int64_t row = top + pixel / a->patch, column = left + pixel % a->patch;
      const uint8_t *from = image + (row * a->size + column) * CHANNELS;
      if (run == PACK) {
        read_pixels(from, bytes);
      } else {
        UNROLL for (int channel = 0; channel < CHANNELS; channel++) bytes[channel] = from[channel];
      }
    }
    UNROLL for (int channel = 0; channel < CHANNELS; channel++) {
      pack p;
      UNROLL for (int j = 0; j < run; j++) {
        p.v[j] = which < 0
                     ? 0.0f
                     : (float)bytes[j * CHANNELS + channel] * a->scale[channel] - a->shift[channel];
      }
      pack_store(a->patches.data, type, to + channel * area + pixel, run, run == PACK, p);
    }
  }
}

/* Grid: one block per kept patch. */
DEVICE void gather_eight_body(gather_arguments a, const int type) {
  gather_patch(&a, type, PACK);
}
KERNEL_PAIR(gather_eight, gather_arguments, GATHER_BLOCK)

DEVICE void gather_one_body(gather_arguments a, const int type) {
  gather_patch(&a, type, 1);
}
KERNEL_PAIR(gather_one, gather_arguments, GATHER_BLOCK)

int kernel_patches(const ops_patches *p, void *stream) {
  gather_arguments a = {.size = p->size,
                        .patch = p->patch,
                        .keep = p->keep,
                        .images = (const uint8_t *)p->images.data,
                        .index = (const int32_t *)p->index.data,
                        .patches = p->patches};
  if (p->patch < 1 || p->size % p->patch != 0 || p->keep < 1) return KERNEL_INVALID;
  for (int i = 0; i < CHANNELS; i++) {
    a.scale[i] = 1.0f / (255.0f * p->deviation[i]);
    a.shift[i] = p->mean[i] / p->deviation[i];
  }
  bool is_eight = is_row_vector(p->patch, p->patches.data) && (uintptr_t)p->images.data % 8 == 0;
  int64_t work = p->patch * p->patch / (is_eight ? PACK : 1);
  int64_t threads = at_most(divided_up(work, LANES) * LANES, GATHER_BLOCK);
  if (is_eight)
    return LAUNCH_PAIR(gather_eight, p->patches.type, GRID(p->batch * p->keep, 1), threads, 0,
                       stream, a);
  return LAUNCH_PAIR(gather_one, p->patches.type, GRID(p->batch * p->keep, 1), threads, 0, stream,
                     a);
}
