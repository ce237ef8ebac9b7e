/* The CUDA execution model on the host, so that the kernels of core/cuda/ run where no GPU is.
 *
 * A launch runs its blocks one after another, and the threads of a block as fibers of one
 * operating-system thread: a thread runs until it waits for others (__syncthreads, __syncwarp, a
 * shuffle) or returns. In what order threads run between two waits, and blocks one after another,
 * is the schedule: a kernel whose result depends on it has a race. Found and reported:
 *   - threads that wait at different places, or wait for one that returned;
 *   - lanes named in a mask that do not take part, or take part with another mask;
 *   - shared memory read before it is written (it starts as NaN);
 *   - accesses beyond an allocation: by AddressSanitizer where the build has it, else by the
 *     recorder of record.c, which sees every load and store of code compiled for it;
 *   - an access of several bytes that is not aligned to them (recorder, or the sanitizer for
 * undefined behaviour);
 *   - two threads on one address, one of them writing, with no barrier between (recorder).
 * Blocks never run at the same time: a kernel in which one block waits for another hangs here.
 *
 * All of it is one machine for the whole process, as kernels have no argument to carry it. */
#ifndef FLIP_SIMT_SIMT_H
#define FLIP_SIMT_SIMT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { SIMT_ASCENDING, SIMT_DESCENDING, SIMT_RANDOM } simt_order;

/* How the launches from now on are ordered; `seed` is for SIMT_RANDOM. */
void simt_schedule(simt_order order, uint64_t seed);

/* Launches of more than 10,000 blocks from now on run only their last `blocks`, as their first are
 * like those of small launches; 0: all. */
void simt_run_last(unsigned blocks);

typedef struct {
  unsigned x, y, z;
} simt_index;

/* Runs `body(arguments)` for every thread. 0, or 1 when the launch was stopped by an error, which
 * simt_message then returns; the error stays until simt_forget. */
int simt_launch(const char *kernel, void (*body)(const void *), const void *arguments,
                simt_index grid, unsigned threads, size_t shared_bytes);

/* As a device, a launch refuses dynamic shared memory beyond 48 KiB that was not requested before;
 * 1 where no device has so much. */
int simt_allow_shared(void (*body)(const void *), size_t bytes);

/* The compute capability that kernels count as compiled for, in tenths: 90, or what was set. */
int simt_compiled_for(void);
void simt_compile_for(int capability);

/* A launch as CUDA_LAUNCH makes it. */
typedef struct {
  const char *kernel;
  void (*body)(const void *);
  const void *arguments;
  size_t argument_bytes;
  simt_index grid;
  unsigned threads;
  size_t shared_bytes;
} simt_call;
/* Runs it immediately, on any stream, unless launches were diverted. */
int simt_launch_on(void *stream, const simt_call *call);
/* From now on launches go to `launcher`, which may keep a copy and run it later (tests/imitation);
 * what it returns is the launch's result. */
void simt_divert(int (*launcher)(void *stream, const simt_call *call));
const char *simt_message(void); /* "" when no launch failed */
void simt_forget(void);

/* Memory that kernels may touch, of exactly `bytes`, all 0xFF (NaN, -1); NULL when there is no
 * more. */
void *simt_allocate(size_t bytes);
void simt_release(void *memory);
/* From now on this memory is as a device's: launches can touch it, the host only between
 * simt_touch_begin and simt_touch_end; elsewhere it faults. Does nothing without the recorder. */
void simt_separate_memory(void);
void simt_touch_begin(void);
void simt_touch_end(void);
/* The recorder is compiled in: races and bounds are seen without AddressSanitizer. */
bool simt_has_recorder(void);

/* What a kernel sees. */
typedef struct {
  simt_index thread, block, block_size, grid_size;
} simt_place;
extern simt_place simt_here;

/* Of a kernel that was compiled for blocks of at most so many threads: a device refuses larger
 * ones. */
void simt_launch_bound(unsigned threads);

typedef struct {
  uint64_t generation; /* the run of a block that `memory` belongs to */
  void *memory;
} simt_shared_slot;

void *simt_shared(simt_shared_slot *slot, size_t bytes);
void *simt_shared_dynamic(void);
void simt_barrier(const char *file, int line);
void simt_warp_barrier(unsigned mask, const char *file, int line);
float simt_shuffle_float(unsigned mask, float value, int from, const char *file, int line);
double simt_shuffle_double(unsigned mask, double value, int from, const char *file, int line);
int simt_shuffle_int(unsigned mask, int value, int from, const char *file, int line);
unsigned simt_ballot(unsigned mask, int vote, const char *file, int line);
unsigned simt_match_any(unsigned mask, unsigned value, const char *file, int line);
int simt_lane(void);
int simt_atomic_add_int(int *to, int value);
unsigned simt_atomic_max_unsigned(unsigned *to, unsigned value);
float simt_atomic_add_float(float *to, float value);

/* d [16,8] += a [16,16] b [16,8], bf16 with fp32 sums, in the register layout of
 * mma.sync.m16n8k16 (PTX ISA). */
void simt_mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2], const char *file,
                   int line);
/* Four 8 x 8 matrices of 16-bit elements, as ldmatrix.x4 (and .trans) loads them. */
void simt_load_matrices(uint32_t out[4], const void *row, bool is_transposed, const char *file,
                        int line);

/* cp.async of 16 bytes to shared memory: of `from`, or zeros where it is not there. The bytes
 * arrive when the thread waits for their group, as late as a device may bring them, and other
 * threads see them after the next barrier. Reads of the old bytes after the start, and of the new
 * ones before both, are races. simt_copy_wait: all groups but the last `groups` that were
 * committed. */
void simt_copy_async(void *to, const void *from, bool is_there, const char *file, int line);
void simt_copy_commit(void);
void simt_copy_wait(unsigned groups);

/* CUDA's names for the above. */
#define threadIdx simt_here.thread
#define blockIdx simt_here.block
#define blockDim simt_here.block_size
#define gridDim simt_here.grid_size
#define __syncthreads() simt_barrier(__FILE__, __LINE__)
#define __syncwarp(mask) simt_warp_barrier(mask, __FILE__, __LINE__)
#define SIMT_SHUFFLE(mask, value, from)                                                            \
  _Generic((value), float                                                                          \
           : simt_shuffle_float, double                                                            \
           : simt_shuffle_double, int                                                              \
           : simt_shuffle_int)(mask, value, from, __FILE__, __LINE__)
#define __shfl_sync(mask, value, from) SIMT_SHUFFLE(mask, value, from)
#define __shfl_xor_sync(mask, value, flip) SIMT_SHUFFLE(mask, value, simt_lane() ^ (flip))
#define __shfl_up_sync(mask, value, distance)                                                      \
  SIMT_SHUFFLE(mask, value, simt_lane() < (distance) ? simt_lane() : simt_lane() - (distance))
#define __ballot_sync(mask, vote) simt_ballot(mask, vote, __FILE__, __LINE__)
#define __match_any_sync(mask, value) simt_match_any(mask, value, __FILE__, __LINE__)
#define __popc(bits) __builtin_popcount(bits)
#define atomicAdd(to, value)                                                                       \
  _Generic((to), int * : simt_atomic_add_int, float * : simt_atomic_add_float)(to, value)
#define atomicMax(to, value) simt_atomic_max_unsigned(to, value)

#endif
