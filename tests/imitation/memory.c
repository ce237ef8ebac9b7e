/* Device memory: one reserved range of addresses, closed to the host but while device work runs.
 * Blocks lie GAP bytes apart; the gap holds a pattern that is checked when the block is freed. With
 * AddressSanitizer memory comes from malloc instead, and it watches the bounds. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "imitation/imitation.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER 1
#endif

enum { ALIGNMENT = 256, GAP = 256, PAGE = 65536, MOST_BLOCKS = 65536, PATTERN = 0xA5 };
/* What is read before it is written is NaN; of large blocks (workspaces) only their beginning, as
 * every page that was touched makes each opening and closing slower. */
enum { MOST_FILLED = 256 << 10 };

typedef struct {
  char *start;
  size_t bytes, room; /* as asked for; as taken from the arena, the gap included */
  bool is_used;
} block;

static struct {
  char *start;
  size_t used;
  block blocks[MOST_BLOCKS];
  size_t count, in_use, used_bytes;
  int open;
} arena;

size_t memory_total(void) {
  return (size_t)imitation_number("FLIP_IMITATION_MEMORY", 2048) << 20;
}

size_t memory_free(void) {
  return memory_total() - arena.used_bytes;
}

size_t memory_blocks(void) {
  return arena.in_use;
}

static size_t rounded(size_t bytes) {
  return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

#ifdef HAS_ADDRESS_SANITIZER

void memory_open(void) {}

void memory_close(void) {}

static block *find_room(size_t bytes) {
  if (arena.count == MOST_BLOCKS) return NULL;
  block *b = &arena.blocks[arena.count];
  if (posix_memalign((void **)&b->start, ALIGNMENT, bytes)) return NULL;
  arena.count++;
  return b;
}

static void close_block(block *b) {
  free(b->start);
  *b = arena.blocks[--arena.count];
}

#else

static const size_t arena_bytes = (size_t)64 << 30; /* of addresses: not of memory */

static void protect(int protection) {
  size_t bytes = (arena.used + PAGE - 1) / PAGE * PAGE;
  if (bytes > 0) mprotect(arena.start, bytes, protection);
}

void memory_open(void) {
  if (arena.open++ == 0) protect(PROT_READ | PROT_WRITE);
}

void memory_close(void) {
  if (--arena.open == 0) protect(PROT_NONE);
}

/* A block that was given back and fits, or a new one. */
static block *find_room(size_t bytes) {
  size_t room = rounded(bytes) + GAP;
  if (!arena.start) {
    void *start =
        mmap(NULL, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return NULL;
    arena.start = start;
  }
  for (size_t i = 0; i < arena.count; i++) {
    block *b = &arena.blocks[i];
    if (!b->is_used && b->room >= room && b->room <= 2 * room) return b;
  }
  if (arena.count == MOST_BLOCKS || arena.used + room > arena_bytes) return NULL;
  block *b = &arena.blocks[arena.count++];
  *b = (block){.start = arena.start + arena.used, .room = room};
  arena.used += room;
  return b;
}

static char *page_after(char *address) {
  return address + (PAGE - (uintptr_t)address % PAGE);
}

static void close_block(block *b) {
  memory_open();
  for (size_t i = b->bytes; i < b->room; i++) {
    if ((unsigned char)b->start[i] == PATTERN) continue;
    imitation_misuse("byte %zu of a block of %zu bytes of device memory was written", i, b->bytes);
    break;
  }
  if (b->room <= MOST_FILLED)
    memset(b->start, 0xFF, b->room); /* who reads it still reads NaN */
  else
    madvise(page_after(b->start), b->room - 2 * PAGE, MADV_DONTNEED);
  b->is_used = false;
  memory_close();
}

#endif

void *memory_take(size_t bytes) {
  if (rounded(bytes) > memory_free()) return NULL;
  block *b = find_room(bytes);
  if (!b) return NULL;
  memory_open();
  memset(b->start, 0xFF, bytes < MOST_FILLED ? bytes : MOST_FILLED);
#ifndef HAS_ADDRESS_SANITIZER
  memset(b->start + bytes, PATTERN, b->room - bytes);
#endif
  memory_close();
  b->bytes = bytes;
  b->is_used = true;
  arena.in_use++;
  arena.used_bytes += rounded(bytes);
  return b->start;
}

bool memory_give_back(void *start) {
  for (size_t i = 0; i < arena.count; i++) {
    block *b = &arena.blocks[i];
    if (b->start != start || !b->is_used) continue;
    arena.in_use--;
    arena.used_bytes -= rounded(b->bytes);
    close_block(b);
    return true;
  }
  return false;
}

bool memory_is_device(const void *start, size_t bytes) {
  const char *first = start;
  for (size_t i = 0; i < arena.count; i++) {
    const block *b = &arena.blocks[i];
    if (b->is_used && first >= b->start && bytes <= b->bytes &&
        (size_t)(first - b->start) <= b->bytes - bytes)
      return true;
  }
  return false;
}

bool memory_touches_device(const void *start, size_t bytes) {
  const char *first = start;
  for (size_t i = 0; i < arena.count; i++) {
    const block *b = &arena.blocks[i];
    if (b->is_used && first < b->start + b->bytes && first + bytes > b->start) return true;
  }
  return false;
}
