/* Divides one block of a backend's memory into buffers. With base NULL nothing is divided and bytes
 * are only counted, so that the same function plans memory and hands it out. */
#ifndef FLIP_OPS_CUT_H
#define FLIP_OPS_CUT_H

#include "base/mem.h"
#include "ops/ops.h"

typedef struct {
  void *base;
  size_t used; /* bytes */
} ops_block;

/* The next `elements` of the block; every buffer starts on a cache line. */
static inline ops_buffer ops_cut(ops_block *block, ops_type type, int64_t elements) {
  ops_buffer buffer = {block->base ? (char *)block->base + block->used : NULL, type};
  block->used += mem_rounded((size_t)elements * ops_size_of(type));
  return buffer;
}

#endif
