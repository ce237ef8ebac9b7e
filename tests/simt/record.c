/* The memory that kernels may touch, and a recorder of how they touch it.
 *
 * Kernels are compiled with -fsanitize=thread but not linked with its library: the compiler then
 * calls __tsan_read4, __tsan_write4 and so on at each load and store, and these are defined here.
 * Every word of the arena has a cell that knows which of its bytes are allocated, and the last two
 * reads and writes in this launch. Two accesses race when they are of different threads, one of
 * them writes, and neither a barrier of the block nor one of the warp lies between: which thread
 * happened to run first does not matter. (A shuffle orders no memory accesses, in CUDA as here.)
 *
 * Likewise -fsanitize=alignment: before an access by a type at an address that is no multiple of
 * the type's alignment, which a device refuses, it calls a function that is defined here too.
 *
 * With AddressSanitizer both cannot be had: then memory comes from malloc, of exactly the size
 * asked for, and races are left to the schedules. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "simt/machine.h"

#ifdef SIMT_HAS_ADDRESS_SANITIZER

bool simt_has_recorder(void) {
  return false;
}

void *simt_allocate(size_t bytes) {
  void *memory = malloc(bytes);
  if (memory) memset(memory, 0xFF, bytes);
  return memory;
}

void simt_release(void *memory) {
  free(memory);
}

void simt_separate_memory(void) {}

void simt_touch_begin(void) {}

void simt_touch_end(void) {}

void record_access(const void *address, size_t bytes, access_kind kind) {
  (void)address;
  (void)bytes;
  (void)kind;
}

#else

enum { WORD = 4, GAP = 64, READS = 2, WRITES = 2, MOST_CHUNKS = 4096 };
static const size_t arena_bytes = (size_t)512 << 20;

typedef struct {
  uint32_t thread; /* counted over the whole grid */
  uint32_t block_epoch, warp_epoch;
  uint8_t bytes, kind; /* which of the word; access_kind, ACCESS_NONE: unused */
} access;

typedef struct {
  uint32_t launch;               /* of the accesses below */
  uint8_t valid;                 /* which bytes are allocated */
  uint8_t next_read, next_write; /* the older slot */
  access seen[READS + WRITES];
} cell;

typedef struct {
  char *start;
  size_t bytes, room; /* as asked for; as taken from the arena */
  bool is_used;
} chunk;

static struct {
  char *start;
  size_t used;
  cell *cells;
  chunk chunks[MOST_CHUNKS];
  int chunk_count;
  bool is_separate;
  int touching; /* begins without their end */
} arena;

bool simt_has_recorder(void) {
  return true;
}

static void *reserve(size_t bytes) {
  void *memory =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  madvise(memory, bytes,
          MADV_HUGEPAGE); /* protecting whole huge pages takes a fraction of the time */
  return memory;
}

/* All that was ever handed out, in whole pages; GAP bytes beyond it belong to nobody yet. */
static void protect(int protection) {
  enum { PAGE = 65536 }; /* a multiple of every page size in use */
  size_t bytes = (arena.used + PAGE - 1) / PAGE * PAGE;
  if (arena.is_separate && bytes > 0) mprotect(arena.start, bytes, protection);
}

void simt_separate_memory(void) {
  arena.is_separate = true;
  if (arena.touching == 0) protect(PROT_NONE);
}

void simt_touch_begin(void) {
  if (arena.touching++ == 0) protect(PROT_READ | PROT_WRITE);
}

void simt_touch_end(void) {
  if (--arena.touching == 0) protect(PROT_NONE);
}

/* Marks a chunk's bytes as allocated or not. */
static void mark(const chunk *c, bool is_valid) {
  cell *cells = arena.cells + (size_t)(c->start - arena.start) / WORD;
  for (size_t byte = 0; byte < c->bytes; byte += WORD) {
    size_t rest = c->bytes - byte;
    cells[byte / WORD].valid = (uint8_t)(!is_valid ? 0 : rest >= WORD ? 15 : (1u << rest) - 1);
    cells[byte / WORD].launch = 0; /* what others did to it before counts no more */
  }
}

/* A chunk of the same size that was given back, or a new one; NULL when there is none. */
static chunk *find_chunk(size_t bytes) {
  size_t room = (bytes + GAP - 1) / GAP * GAP + GAP;
  for (int i = 0; i < arena.chunk_count; i++)
    if (!arena.chunks[i].is_used && arena.chunks[i].room == room) return &arena.chunks[i];
  if (arena.chunk_count == MOST_CHUNKS || arena.used + room > arena_bytes) return NULL;
  chunk *c = &arena.chunks[arena.chunk_count++];
  *c = (chunk){.start = arena.start + arena.used, .room = room};
  arena.used += room;
  return c;
}

void *simt_allocate(size_t bytes) {
  if (!arena.start) {
    arena.start = reserve(arena_bytes);
    arena.cells = reserve(arena_bytes / WORD * sizeof(cell));
    if (!arena.start || !arena.cells) return NULL;
    arena.used = GAP;
  }
  chunk *c = find_chunk(bytes);
  if (!c) return NULL;
  c->bytes = bytes;
  c->is_used = true;
  mark(c, true);
  simt_touch_begin();
  memset(c->start, 0xFF, bytes);
  simt_touch_end();
  return c->start;
}

void simt_release(void *memory) {
  for (int i = 0; i < arena.chunk_count; i++) {
    if (arena.chunks[i].start != memory || !arena.chunks[i].is_used) continue;
    mark(&arena.chunks[i], false);
    arena.chunks[i].is_used = false;
  }
}

static const char *verb_of(unsigned kind) {
  return kind == ACCESS_READ ? "reads" : kind == ACCESS_WRITE ? "writes" : "atomically changes";
}

/* Where an address lies, in words for a message. */
static void describe(const char *address, char *text, size_t size) {
  snprintf(text, size, "an address outside every allocation");
  for (int i = 0; i < arena.chunk_count; i++) {
    const chunk *c = &arena.chunks[i];
    if (!c->is_used || address < c->start - GAP || address >= c->start + c->room) continue;
    const char *where = "an array";
    for (int j = 0; j < simt.shared_count; j++)
      if (simt.shared[j] == c->start) where = "a shared array";
    if (simt.dynamic_shared == c->start) where = "the dynamic shared memory";
    snprintf(text, size, "byte %td of %s of %zu bytes", address - c->start, where, c->bytes);
    if (address >= c->start) return; /* else the next chunk may own it */
  }
}

static void fail_bounds(const char *address, access_kind kind) {
  char where[128];
  describe(address, where, sizeof where);
  simt_fail("out of bounds: thread %u %s %s", simt.current, verb_of(kind), where);
}

static void fail_race(const char *address, const access *before, access_kind kind) {
  char where[128];
  describe(address, where, sizeof where);
  simt_fail("race: thread %u %s %s, which thread %u of block %u %s with no barrier between",
            simt.current, verb_of(kind), where, before->thread % simt.threads,
            before->thread / simt.threads, verb_of(before->kind));
}

static bool is_concurrent(const access *before, const access *now) {
  if (before->thread == now->thread) return false;
  if (before->thread / simt.threads != now->thread / simt.threads) return true;
  if (before->block_epoch != now->block_epoch) return false;
  bool is_same_warp = before->thread / SIMT_LANES == now->thread / SIMT_LANES;
  return !is_same_warp || before->warp_epoch == now->warp_epoch;
}

static void remember(cell *c, const access *now) {
  bool is_read = now->kind == ACCESS_READ;
  access *slots = is_read ? c->seen : c->seen + READS;
  uint8_t *next = is_read ? &c->next_read : &c->next_write;
  for (int i = 0; i < 2; i++) {
    if (slots[i].kind != ACCESS_NONE && slots[i].thread != now->thread) continue;
    slots[i] = *now;
    *next = (uint8_t)!i;
    return;
  }
  slots[*next] = *now;
  *next = !*next;
}

static void record_word(char *word, uint8_t bytes, access_kind kind) {
  cell *c = arena.cells + (size_t)(word - arena.start) / WORD;
  if ((c->valid & bytes) != bytes) fail_bounds(word, kind);
  if (c->launch != simt.launch) {
    uint8_t valid = c->valid;
    *c = (cell){.launch = simt.launch, .valid = valid};
  }
  access now = {.thread = simt.block * simt.threads + simt.current,
                .block_epoch = simt.block_epoch,
                .warp_epoch = simt.warp[simt.current / SIMT_LANES].epoch,
                .bytes = bytes,
                .kind = (uint8_t)kind};
  for (int i = 0; i < READS + WRITES; i++) {
    const access *before = &c->seen[i];
    if (before->kind == ACCESS_NONE || !(before->bytes & bytes)) continue;
    if (before->kind == kind && kind != ACCESS_WRITE) continue; /* two reads, two atomics */
    if (is_concurrent(before, &now)) fail_race(word, before, kind);
  }
  remember(c, &now);
}

void record_access(const void *address, size_t bytes, access_kind kind) {
  size_t at = (size_t)((const char *)address - arena.start);
  if (at >= arena_bytes || !simt.is_running) return;
  while (bytes > 0) {
    size_t inside = at % WORD, count = WORD - inside < bytes ? WORD - inside : bytes;
    record_word(arena.start + at - inside, (uint8_t)(((1u << count) - 1) << inside), kind);
    at += count;
    bytes -= count;
  }
}

/* What compiled kernels call. */
#define RECORDERS(size)                                                                            \
  void __tsan_read##size(void *address);                                                           \
  void __tsan_write##size(void *address);                                                          \
  void __tsan_unaligned_read##size(void *address);                                                 \
  void __tsan_unaligned_write##size(void *address);                                                \
  void __tsan_read##size(void *address) {                                                          \
    record_access(address, size, ACCESS_READ);                                                     \
  }                                                                                                \
  void __tsan_write##size(void *address) {                                                         \
    record_access(address, size, ACCESS_WRITE);                                                    \
  }                                                                                                \
  void __tsan_unaligned_read##size(void *address) {                                                \
    record_access(address, size, ACCESS_READ);                                                     \
  }                                                                                                \
  void __tsan_unaligned_write##size(void *address) {                                               \
    record_access(address, size, ACCESS_WRITE);                                                    \
  }

RECORDERS(1)
RECORDERS(2)
RECORDERS(4)
RECORDERS(8)
RECORDERS(16)

void __tsan_read_range(void *address, size_t bytes);
void __tsan_write_range(void *address, size_t bytes);
void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);

void __tsan_read_range(void *address, size_t bytes) {
  record_access(address, bytes, ACCESS_READ);
}

void __tsan_write_range(void *address, size_t bytes) {
  record_access(address, bytes, ACCESS_WRITE);
}

void __tsan_init(void) {}

void __tsan_func_entry(void *caller) {
  (void)caller;
}

void __tsan_func_exit(void) {}

/* What the compiler passes: the place, and what it knows about the access. */
typedef struct {
  struct {
    const char *file;
    uint32_t line, column;
  } place;
  const void *type;
  unsigned char alignment_log2, kind;
} mismatch;

void __ubsan_handle_type_mismatch_v1(const mismatch *m, const void *address);

void __ubsan_handle_type_mismatch_v1(const mismatch *m, const void *address) {
  char where[128];
  if (!simt.is_running) return;
  describe(address, where, sizeof where);
  simt_fail("misaligned: thread %u reads or writes at %s, no multiple of %d bytes (%s:%u)",
            simt.current, where, 1 << m->alignment_log2, m->place.file, m->place.line);
}

#endif
