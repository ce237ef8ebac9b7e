/* Casts, sums, averages and fills of flat arrays. Bound: memory.
 *
 * Grid: at most 4096 blocks, each thread processing every grid-th pack of eight elements. */
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

enum { ELEMENT_BLOCK = 256, ELEMENT_GRID = 4096 };

typedef struct {
  int64_t count;
  ops_buffer from, to;
  float value, other; /* value: of fill. average: the factors of the old value and of x */
  bool is_vector;
} element_arguments;

KERNEL(cast_elements, element_arguments, ELEMENT_BLOCK) {
  for (int64_t at = grid_thread() * PACK; at < a.count; at += grid_threads() * PACK) {
    bool is_vector = a.is_vector && a.count - at >= PACK;
    pack x = pack_load(a.from.data, (int)a.from.type, at, a.count - at, is_vector);
    pack_store(a.to.data, (int)a.to.type, at, a.count - at, is_vector, x);
  }
}

KERNEL(add_elements, element_arguments, ELEMENT_BLOCK) {
  float *to = (float *)a.to.data;
  for (int64_t at = grid_thread(); at < a.count; at += grid_threads())
    to[at] += load_element(a.from.data, (int)a.from.type, at);
}

KERNEL(fill_elements, element_arguments, ELEMENT_BLOCK) {
  float *to = (float *)a.to.data;
  for (int64_t at = grid_thread(); at < a.count; at += grid_threads()) to[at] = a.value;
}

KERNEL(average_elements, element_arguments, ELEMENT_BLOCK) {
  const float *from = (const float *)a.from.data;
  float *to = (float *)a.to.data;
  for (int64_t at = grid_thread(); at < a.count; at += grid_threads())
    to[at] = a.value * to[at] + a.other * from[at];
}

int kernel_cast(int64_t count, ops_buffer from, ops_buffer to, void *stream) {
  element_arguments a = {
      count, from, to, 0, 0, is_row_vector(PACK, from.data) && is_row_vector(PACK, to.data)};
  if (count <= 0) return 0;
  return CUDA_LAUNCH(cast_elements,
                     GRID(at_most(divided_up(count, ELEMENT_BLOCK * PACK), ELEMENT_GRID), 1),
                     ELEMENT_BLOCK, 0, stream, a);
}

int kernel_add(int64_t count, ops_buffer from, ops_buffer to, void *stream) {
  element_arguments a = {.count = count, .from = from, .to = to};
  if (count <= 0) return 0;
  return CUDA_LAUNCH(add_elements, GRID(at_most(divided_up(count, ELEMENT_BLOCK), ELEMENT_GRID), 1),
                     ELEMENT_BLOCK, 0, stream, a);
}

int kernel_fill(int64_t count, ops_buffer x, double value, void *stream) {
  element_arguments a = {count, x, x, (float)value, 0, false};
  if (count <= 0) return 0;
  return CUDA_LAUNCH(fill_elements,
                     GRID(at_most(divided_up(count, ELEMENT_BLOCK), ELEMENT_GRID), 1),
                     ELEMENT_BLOCK, 0, stream, a);
}

int kernel_average(int64_t count, ops_buffer x, ops_buffer average, double momentum, void *stream) {
  element_arguments a = {count, x, average, (float)momentum, (float)(1 - momentum), false};
  if (count <= 0) return 0;
  return CUDA_LAUNCH(average_elements,
                     GRID(at_most(divided_up(count, ELEMENT_BLOCK), ELEMENT_GRID), 1),
                     ELEMENT_BLOCK, 0, stream, a);
}
