#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/mem_library.h"
#include "base/text.h"

/* Allocations are numbered from 1; those from `first_failing` to `last_failing` fail. */
static atomic_long made, first_failing = LONG_MAX, last_failing = LONG_MAX;

/* Only tests count: a counter that all threads write costs parallel loops a third of their time. */
#ifdef FLIP_ALLOCATION_FAULTS
static atomic_bool is_counting = true;
#else
static atomic_bool is_counting = false;
#endif

static void show_place(void);

static bool is_made_to_fail(void) {
  if (!atomic_load_explicit(&is_counting, memory_order_relaxed)) return false;
  long number = atomic_fetch_add_explicit(&made, 1, memory_order_relaxed) + 1;
  if (number < atomic_load_explicit(&first_failing, memory_order_relaxed) ||
      number > atomic_load_explicit(&last_failing, memory_order_relaxed))
    return false;
  show_place();
  return true;
}

void mem_fail_after(long successes) {
  if (successes >= 0) atomic_store(&is_counting, true);
  atomic_store(&last_failing, LONG_MAX);
  atomic_store(&first_failing, successes < 0 ? LONG_MAX : atomic_load(&made) + successes + 1);
}

void mem_fail_once_after(long successes) {
  mem_fail_after(successes);
  atomic_store(&last_failing, atomic_load(&first_failing));
}

#ifdef FLIP_ALLOCATION_FAULTS
/* The value of NAME=PROGRAM:VALUE when PROGRAM is this one. */
static const char *own_value(const char *name) {
  const char *all = getenv(name), *own = program_invocation_short_name;
  size_t length = strlen(own);
  return all && strncmp(all, own, length) == 0 && all[length] == ':' ? all + length + 1 : NULL;
}

__attribute__((constructor)) static void choose_failing(void) {
  const char *value = own_value("FLIP_FAIL_ALLOCATION");
  char *end;
  if (!value) return;
  first_failing = strtol(value, &end, 10);
  last_failing = *end == '+' ? LONG_MAX : first_failing;
}

__attribute__((destructor)) static void write_count(void) {
  const char *path = own_value("FLIP_COUNT_ALLOCATIONS");
  FILE *file = path ? fopen(path, "we") : NULL;
  if (!file) return;
  fprintf(file, "%ld\n", made);
  fclose(file);
}

extern void __sanitizer_print_stack_trace(void) __attribute__((weak));

static void show_place(void) {
  if (getenv("FLIP_SHOW_FAILED_ALLOCATION") && __sanitizer_print_stack_trace)
    __sanitizer_print_stack_trace();
}
#else
static void show_place(void) {}
#endif

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

void *mem_plain(size_t bytes) {
  return is_made_to_fail() ? NULL : malloc(bytes ? bytes : 1);
}

static atomic_bool library_lacked;

enum { RESERVED_BLOCKS = 16, RESERVED_BYTES = 4096 };
static atomic_uintptr_t reserve[RESERVED_BLOCKS];

__attribute__((constructor)) static void fill_reserve(void) {
  for (size_t i = 0; i < RESERVED_BLOCKS; i++) reserve[i] = (uintptr_t)malloc(RESERVED_BYTES);
}

static void *from_reserve(size_t bytes) {
  void *block = NULL;
  for (size_t i = 0; i < RESERVED_BLOCKS && bytes <= RESERVED_BYTES && !block; i++)
    block = (void *)atomic_exchange(&reserve[i], 0);
  return block;
}

void mem_note_lack(void) {
  atomic_store(&library_lacked, true);
}

void *mem_for_library(size_t bytes) {
  void *block = mem_plain(bytes);
  if (block) return block;
  mem_note_lack();
  return from_reserve(bytes);
}

bool mem_library_lacked(void) {
  return atomic_load(&library_lacked);
}

err mem_error(size_t bytes, const char *what) {
  char size[TEXT_NUMBER_SIZE];
  if (!bytes) return err_new(ERR_MEMORY, "out of memory: %s", what);
  return err_new(ERR_MEMORY, "out of memory: %s for %s", text_bytes(bytes, size), what);
}

uint64_t mem_peak_bytes(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return (uint64_t)usage.ru_maxrss * 1024u; /* Linux counts in KiB */
}
