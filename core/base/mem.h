/* Memory: checked allocation.
 *
 * mem_* return NULL only when out of memory; every caller checks. Tests make chosen calls fail:
 * within a process by mem_fail_after, in whole programs by the environment (see below). */
#ifndef FLIP_BASE_MEM_H
#define FLIP_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { MEM_ALIGNMENT = 64 }; /* a cache line, and the widest vector register */

/* Zeroed memory for count items of `size` bytes; overflow counts as failure. Release with free. */
void *mem_zeroed(size_t count, size_t size);
/* Like realloc for count items, overflow checked; the old block stays valid on failure. */
void *mem_resize(void *block, size_t count, size_t size);
/* Uninitialised memory at MEM_ALIGNMENT. Release with free. */
void *mem_aligned(size_t bytes);
char *mem_copy_string(const char *text);
/* Like malloc, for libraries that take an allocator. */
void *mem_plain(size_t bytes);

/* For tests: the allocation after `successes` more fails, and all after it; negative: never.
 *
 * A build with FLIP_ALLOCATION_FAULTS (the preset asan) also reads two variables:
 *   FLIP_FAIL_ALLOCATION=PROGRAM:N        in PROGRAM the N-th allocation fails
 *   FLIP_FAIL_ALLOCATION=PROGRAM:N+       in PROGRAM the N-th and all later allocations fail
 *   FLIP_COUNT_ALLOCATIONS=PROGRAM:FILE   at exit PROGRAM writes their number to FILE */
void mem_fail_after(long successes);
/* Only the allocation after `successes` more fails. */
void mem_fail_once_after(long successes);

/* The error that every caller returns for a failed allocation: what was requested, with its size
 * unless `bytes` is 0. */
err mem_error(size_t bytes, const char *what) ERR_MUST_CHECK;

/* `bytes` rounded up to MEM_ALIGNMENT. */
static inline size_t mem_rounded(size_t bytes) {
  return (bytes + MEM_ALIGNMENT - 1) / MEM_ALIGNMENT * MEM_ALIGNMENT;
}

/* Peak resident set size of this process in bytes, from the kernel; 0 where it cannot be read. */
uint64_t mem_peak_bytes(void);

#endif
