/* Memory: checked allocation and arenas by lifetime.
 *
 * mem_* return NULL only when memory is short; every caller checks. Tests make the n-th call fail
 * with mem_fail_after. An arena is one block from which pieces are cut and freed together. */
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

/* For tests: the allocation after `successes` more fails, and all after it; negative: never. */
void mem_fail_after(long successes);

/* The error every caller returns for a failed allocation, with what was wanted. */
err mem_error(size_t bytes, const char *what) ERR_MUST_CHECK;

typedef struct mem_arena mem_arena;

/* An arena of at most `bytes` bytes, touched as it is used. */
err mem_arena_create(size_t bytes, const char *name, mem_arena **arena) ERR_MUST_CHECK;
/* `bytes` zeroed bytes at MEM_ALIGNMENT; NULL when the arena is full. */
void *mem_arena_take(mem_arena *arena, size_t bytes);
size_t mem_arena_used(const mem_arena *arena);
/* Makes everything taken so far free again; pointers into the arena become invalid. */
void mem_arena_reset(mem_arena *arena);
void mem_arena_destroy(mem_arena *arena);

/* The size a piece takes in an arena: `bytes` rounded up to MEM_ALIGNMENT. */
static inline size_t mem_rounded(size_t bytes) {
  return (bytes + MEM_ALIGNMENT - 1) / MEM_ALIGNMENT * MEM_ALIGNMENT;
}

/* Resident-set peak of this process in bytes, from the kernel; 0 where it cannot be read. */
uint64_t mem_peak_bytes(void);

#endif
