#include "simt/mutants.h"

#include "cuda/async.cuh"

typedef struct {
  const float *in;
  float *out; /* the sum of each block at the place of its first thread, unless said otherwise */
} mutant_arguments;

/* A tree in shared memory; `has_barrier`: false plants the fault. */
DEVICE float tree_sum(float value, bool has_barrier) {
  SHARED(float, cells, MUTANT_THREADS);
  int i = thread_index();
  cells[i] = value;
  __syncthreads();
  for (int half = MUTANT_THREADS / 2; half > 0; half /= 2) {
    if (i < half) cells[i] += cells[i + half];
    if (has_barrier) __syncthreads();
  }
  return cells[0];
}

KERNEL(sound, mutant_arguments, MUTANT_THREADS) {
  float sum = tree_sum(a.in[grid_thread()], true);
  if (thread_index() == 0) a.out[grid_thread()] = sum;
}

KERNEL(no_barrier, mutant_arguments, MUTANT_THREADS) {
  float sum = tree_sum(a.in[grid_thread()], false);
  if (thread_index() == 0) a.out[grid_thread()] = sum;
}

/* A barrier too few between two uses of one array: the second use overwrites what is still read. */
KERNEL(reuse_too_early, mutant_arguments, MUTANT_THREADS) {
  SHARED(float, cells, MUTANT_THREADS);
  int i = thread_index();
  cells[i] = a.in[grid_thread()];
  __syncthreads();
  float first = cells[MUTANT_THREADS - 1 - i];
  cells[i] = first;
  __syncthreads();
  a.out[grid_thread()] = cells[(i + 1) % MUTANT_THREADS];
}

KERNEL(no_warp_barrier, mutant_arguments, MUTANT_THREADS) {
  SHARED(float, cells, MUTANT_THREADS);
  cells[thread_index()] = a.in[grid_thread()];
  a.out[grid_thread()] = cells[thread_index() ^ 1];
}

KERNEL(wrong_mask, mutant_arguments, MUTANT_THREADS) {
  float value = a.in[grid_thread()];
  if (lane_index() < 16) value += __shfl_xor_sync(FULL_WARP, value, 8);
  a.out[grid_thread()] = value;
}

KERNEL(lane_outside_the_mask, mutant_arguments, MUTANT_THREADS) {
  float value = a.in[grid_thread()];
  if (lane_index() < 16) value += __shfl_xor_sync(0xFFFFu, value, 16);
  a.out[grid_thread()] = value;
}

KERNEL(global_overrun, mutant_arguments, MUTANT_THREADS) {
  a.out[grid_thread() + 1] = a.in[grid_thread()];
}

KERNEL(global_read_overrun, mutant_arguments, MUTANT_THREADS) {
  a.out[grid_thread()] = a.in[grid_thread() + 1];
}

KERNEL(shared_overrun, mutant_arguments, MUTANT_THREADS) {
  SHARED(float, cells, MUTANT_THREADS);
  cells[thread_index() + 1] = a.in[grid_thread()];
  __syncthreads();
  a.out[grid_thread()] = cells[(thread_index() + 1) % MUTANT_THREADS];
}

KERNEL(dynamic_overrun, mutant_arguments, MUTANT_THREADS) {
  SHARED_DYNAMIC(float, cells);
  cells[thread_index() + 1] = a.in[grid_thread()];
}

KERNEL(misaligned_load, mutant_arguments, MUTANT_THREADS) {
  float value = a.in[grid_thread()];
  if (thread_index() < 4) value = quad_load(a.in, thread_index() * 4 + 1, QUAD, true).v[0];
  a.out[grid_thread()] = value;
}

KERNEL(misaligned_store, mutant_arguments, MUTANT_THREADS) {
  const quad four = {{1, 2, 3, 4}};
  if (thread_index() == 0) quad_store(a.out, blockIdx.x * MUTANT_THREADS + 2, QUAD, true, four);
}

KERNEL(two_writers, mutant_arguments, MUTANT_THREADS) {
  if (thread_index() % 33 == 0) a.out[blockIdx.x] = a.in[grid_thread()];
}

KERNEL(blocks_collide, mutant_arguments, MUTANT_THREADS) {
  if (thread_index() == 0) a.out[0] = a.in[grid_thread()];
}

KERNEL(divergent_barrier, mutant_arguments, MUTANT_THREADS) {
  if (thread_index() >= 40) return;
  __syncthreads();
  a.out[grid_thread()] = a.in[grid_thread()];
}

KERNEL(two_barriers, mutant_arguments, MUTANT_THREADS) {
  if (thread_index() < 32)
    __syncthreads();
  else
    __syncthreads();
  a.out[grid_thread()] = a.in[grid_thread()];
}

KERNEL(read_before_write, mutant_arguments, MUTANT_THREADS) {
  SHARED(float, cells, MUTANT_THREADS);
  if (thread_index() > 0) cells[thread_index()] = a.in[grid_thread()];
  __syncthreads();
  a.out[grid_thread()] = cells[thread_index()];
}

KERNEL(barrier_beside_warps, mutant_arguments, MUTANT_THREADS) {
  float value = a.in[grid_thread()];
  if (warp_index() == 0)
    value += __shfl_xor_sync(FULL_WARP, value, 1);
  else if (lane_index() > 0)
    __syncthreads();
  a.out[grid_thread()] = value;
}

/* 16 bytes a thread: four floats, of which the first is the thread's own. */
DEVICE void begin_copy(const mutant_arguments *a, float *cells, int thread) {
  const float *from = a->in + blockIdx.x * MUTANT_THREADS + thread / 4 * 4;
  copy_async((uint16_t *)(cells + thread / 4 * 4), (const uint16_t *)from, true);
}

KERNEL(copied, mutant_arguments, MUTANT_THREADS) {
  SHARED(float, cells, MUTANT_THREADS);
  if (thread_index() % 4 == 0) begin_copy(&a, cells, thread_index());
  copies_wait();
  __syncthreads();
  a.out[grid_thread()] = cells[(thread_index() + 4) % MUTANT_THREADS];
}

KERNEL(no_wait_for_copies, mutant_arguments, MUTANT_THREADS) {
  SHARED(float, cells, MUTANT_THREADS);
  if (thread_index() % 4 == 0) begin_copy(&a, cells, thread_index());
  __syncthreads();
  float value = cells[(thread_index() + 4) % MUTANT_THREADS];
  copies_wait();
  a.out[grid_thread()] = value;
}

KERNEL(no_barrier_after_copies, mutant_arguments, MUTANT_THREADS) {
  SHARED(float, cells, MUTANT_THREADS);
  if (thread_index() % 4 == 0) begin_copy(&a, cells, thread_index());
  copies_wait();
  a.out[grid_thread()] = cells[(thread_index() + 4) % MUTANT_THREADS];
}

KERNEL(own_copy_read_too_early, mutant_arguments, MUTANT_THREADS) {
  SHARED(float, cells, MUTANT_THREADS);
  if (thread_index() % 4 == 0) {
    begin_copy(&a, cells, thread_index());
    a.out[grid_thread()] = cells[thread_index()];
    copies_wait();
  }
}

KERNEL(copy_over_what_is_read, mutant_arguments, MUTANT_THREADS) {
  SHARED(float, cells, MUTANT_THREADS);
  cells[thread_index()] = a.in[grid_thread()];
  __syncthreads();
  float value = cells[(thread_index() + 4) % MUTANT_THREADS];
  if (thread_index() % 4 == 0) begin_copy(&a, cells, thread_index());
  copies_wait();
  __syncthreads();
  a.out[grid_thread()] = value + cells[thread_index()];
}

KERNEL(copy_never_waited_for, mutant_arguments, MUTANT_THREADS) {
  SHARED(float, cells, MUTANT_THREADS);
  if (thread_index() % 4 == 0) begin_copy(&a, cells, thread_index());
  a.out[grid_thread()] = a.in[grid_thread()];
}

KERNEL(copy_beyond_the_array, mutant_arguments, MUTANT_THREADS) {
  SHARED(float, cells, MUTANT_THREADS);
  if (thread_index() % 4 == 0) begin_copy(&a, cells + 4, thread_index());
  copies_wait();
  __syncthreads();
  a.out[grid_thread()] = cells[thread_index()];
}

KERNEL(larger_than_compiled_for, mutant_arguments, MUTANT_THREADS / 2) {
  a.out[grid_thread()] = a.in[grid_thread()];
}

KERNEL(shared_not_asked_for, mutant_arguments, MUTANT_THREADS) {
  a.out[grid_thread()] = a.in[grid_thread()];
}

static int launch_shared_not_asked_for(const float *in, float *out) {
  mutant_arguments a = {in, out};
  return CUDA_LAUNCH(shared_not_asked_for, GRID(MUTANT_BLOCKS, 1), MUTANT_THREADS, 49 << 10, NULL,
                     a);
}

#define MUTANT(name)                                                                               \
  static int launch_##name(const float *in, float *out) {                                          \
    mutant_arguments a = {in, out};                                                                \
    return CUDA_LAUNCH(name, GRID(MUTANT_BLOCKS, 1), MUTANT_THREADS,                               \
                       MUTANT_THREADS * sizeof(float), NULL, a);                                   \
  }
MUTANT(sound)
MUTANT(no_barrier)
MUTANT(reuse_too_early)
MUTANT(no_warp_barrier)
MUTANT(wrong_mask)
MUTANT(lane_outside_the_mask)
MUTANT(global_overrun)
MUTANT(global_read_overrun)
MUTANT(shared_overrun)
MUTANT(dynamic_overrun)
MUTANT(misaligned_load)
MUTANT(misaligned_store)
MUTANT(two_writers)
MUTANT(blocks_collide)
MUTANT(divergent_barrier)
MUTANT(two_barriers)
MUTANT(read_before_write)
MUTANT(barrier_beside_warps)
MUTANT(copied)
MUTANT(no_wait_for_copies)
MUTANT(no_barrier_after_copies)
MUTANT(own_copy_read_too_early)
MUTANT(copy_over_what_is_read)
MUTANT(copy_never_waited_for)
MUTANT(copy_beyond_the_array)
MUTANT(larger_than_compiled_for)

const mutant mutants[] = {
    {"sound", launch_sound, NULL, NULL},
    {"no_barrier", launch_no_barrier, "race", "results differ"},
    {"reuse_too_early", launch_reuse_too_early, "race", "results differ"},
    {"no_warp_barrier", launch_no_warp_barrier, "race", "results differ"},
    {"wrong_mask", launch_wrong_mask, "waits at a shuffle", "waits at a shuffle"},
    {"lane_outside_the_mask", launch_lane_outside_the_mask, "does not name", "does not name"},
    {"global_overrun", launch_global_overrun, "out of bounds", "stopped"},
    {"global_read_overrun", launch_global_read_overrun, "out of bounds", "stopped"},
    {"shared_overrun", launch_shared_overrun, "out of bounds", "stopped"},
    {"dynamic_overrun", launch_dynamic_overrun, "out of bounds", "stopped"},
    {"misaligned_load", launch_misaligned_load, "misaligned", "stopped"},
    {"misaligned_store", launch_misaligned_store, "misaligned", "stopped"},
    {"two_writers", launch_two_writers, "race", "results differ"},
    {"blocks_collide", launch_blocks_collide, "race", "results differ"},
    {"divergent_barrier", launch_divergent_barrier, "has returned", "has returned"},
    {"two_barriers", launch_two_barriers, "waits at another", "waits at another"},
    {"read_before_write", launch_read_before_write, "not a number", "not a number"},
    {"barrier_beside_warps", launch_barrier_beside_warps, "waits at __syncthreads",
     "waits at __syncthreads"},
    {"copied", launch_copied, NULL, NULL},
    {"no_wait_for_copies", launch_no_wait_for_copies, "race", "result"},
    {"no_barrier_after_copies", launch_no_barrier_after_copies, "race", "results differ"},
    {"own_copy_read_too_early", launch_own_copy_read_too_early, "not a number", "not a number"},
    {"copy_over_what_is_read", launch_copy_over_what_is_read, "race", NULL},
    {"copy_never_waited_for", launch_copy_never_waited_for, "has arrived", "has arrived"},
    {"copy_beyond_the_array", launch_copy_beyond_the_array, "out of bounds", "stopped"},
    {"larger_than_compiled_for", launch_larger_than_compiled_for, "compiled for 32",
     "compiled for 32"},
    {"shared_not_asked_for", launch_shared_not_asked_for, "asked for first", "asked for first"},
};
const size_t mutant_count = sizeof mutants / sizeof mutants[0];
