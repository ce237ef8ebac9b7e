#include "base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static atomic_long allocations_left = -1;

static bool is_made_to_fail(void) {
  long left = atomic_load(&allocations_left);
  if (left < 0) return false;
  if (left == 0) return true;
  atomic_store(&allocations_left, left - 1);
  return false;
}

void mem_fail_after(long successes) {
  atomic_store(&allocations_left, successes);
}

void *mem_zeroed(size_t count, size_t size) {
  if (is_made_to_fail()) return NULL;
  return calloc(count ? count : 1, size ? size : 1);
}

void *mem_resize(void *block, size_t count, size_t size) {
  if (is_made_to_fail() || (size && count > SIZE_MAX / size)) return NULL;
  size_t bytes = count * size;
  return realloc(block, bytes ? bytes : 1);
}

void *mem_aligned(size_t bytes) {
  if (is_made_to_fail() || bytes > SIZE_MAX - MEM_ALIGNMENT) return NULL;
  return aligned_alloc(MEM_ALIGNMENT, bytes ? mem_rounded(bytes) : MEM_ALIGNMENT);
}

char *mem_copy_string(const char *text) {
  return is_made_to_fail() ? NULL : strdup(text);
}

err mem_error(size_t bytes, const char *what) {
  return err_new(ERR_MEMORY, "out of memory: %.1f MiB for %s", (double)bytes / 1048576.0, what);
}

struct mem_arena {
  unsigned char *base;
  size_t capacity, used;
};

err mem_arena_create(size_t bytes, const char *name, mem_arena **arena) {
  mem_arena *made = mem_zeroed(1, sizeof *made);
  unsigned char *base = mem_aligned(bytes);
  if (!made || !base) {
    free(made);
    free(base);
    return mem_error(bytes, name);
  }
  *made = (mem_arena){base, mem_rounded(bytes), 0};
  *arena = made;
  return NULL;
}

void *mem_arena_take(mem_arena *arena, size_t bytes) {
  size_t size = mem_rounded(bytes);
  if (size < bytes || size > arena->capacity - arena->used) return NULL;
  void *piece = arena->base + arena->used;
  arena->used += size;
  memset(piece, 0, size);
  return piece;
}

size_t mem_arena_used(const mem_arena *arena) {
  return arena->used;
}

void mem_arena_reset(mem_arena *arena) {
  arena->used = 0;
}

void mem_arena_destroy(mem_arena *arena) {
  if (!arena) return;
  free(arena->base);
  free(arena);
}

uint64_t mem_peak_bytes(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return (uint64_t)usage.ru_maxrss * 1024u; /* Linux counts in KiB */
}
