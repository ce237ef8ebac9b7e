/* Launches, the schedule, barriers and shared memory. */
#include "simt/simt.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simt/machine.h"

enum {
  STACK_BYTES = 256 << 10,
  USUAL_DYNAMIC_SHARED = 48 << 10,
  MOST_DYNAMIC_SHARED = 227 << 10 /* of an H100's block */
};

simt_machine simt;
simt_place simt_here;

void simt_schedule(simt_order order, uint64_t seed) {
  simt.order = order;
  simt.random = seed * 2 + 1;
}

const char *simt_message(void) {
  return simt.message;
}

void simt_forget(void) {
  simt.message[0] = '\0';
}

static void say(const char *format, va_list list) {
  int used = snprintf(simt.message, sizeof simt.message, "%s: block %u: ", simt.kernel, simt.block);
  vsnprintf(simt.message + used, sizeof simt.message - (size_t)used, format, list);
  simt.has_failed = true;
}

void simt_fail(const char *format, ...) {
  va_list list;
  va_start(list, format);
  say(format, list);
  va_end(list);
  fiber_switch(&simt.thread[simt.current].fiber, &simt.scheduler, true);
  abort(); /* no thread of a failed launch is switched to */
}

static void report(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void report(const char *format, ...) {
  va_list list;
  va_start(list, format);
  say(format, list);
  va_end(list);
}

static uint64_t next_random(void) {
  simt.random ^= simt.random << 13;
  simt.random ^= simt.random >> 7;
  simt.random ^= simt.random << 17;
  return simt.random;
}

/* Position `i` of `count` in the schedule's order; `shuffled` is its permutation if random. */
static unsigned place_in_order(unsigned i, unsigned count, const unsigned *shuffled) {
  return simt.order == SIMT_ASCENDING    ? i
         : simt.order == SIMT_DESCENDING ? count - 1 - i
                                         : shuffled[i];
}

static unsigned last_blocks;

void simt_run_last(unsigned blocks) {
  last_blocks = blocks;
}

static bool is_run(unsigned block, unsigned blocks) {
  enum { LARGE_GRID = 10000 };
  return last_blocks == 0 || blocks <= LARGE_GRID || block >= blocks - last_blocks;
}

static void shuffle(unsigned *items, unsigned count) {
  if (simt.order != SIMT_RANDOM) return;
  for (unsigned i = 0; i < count; i++) items[i] = i;
  for (unsigned i = count; i > 1; i--) {
    unsigned other = (unsigned)(next_random() % i), kept = items[i - 1];
    items[i - 1] = items[other];
    items[other] = kept;
  }
}

/* The next thread of this pass that can run. */
static bool find_ready(unsigned *index) {
  while (simt.position < simt.threads) {
    *index = place_in_order(simt.position++, simt.threads, simt.turn);
    if (simt.thread[*index].state == THREAD_READY) return true;
  }
  return false;
}

static fiber *enter(unsigned index) {
  simt.current = index;
  simt_here.thread.x = index;
  return &simt.thread[index].fiber;
}

/* To the next thread, or at the end of a pass to the scheduler. */
static void leave(bool is_last) {
  fiber *from = &simt.thread[simt.current].fiber;
  unsigned next;
  fiber_switch(from, find_ready(&next) ? enter(next) : &simt.scheduler, is_last);
}

void simt_yield(void) {
  leave(false);
}

static void thread_main(void) {
  fiber_arrived(&simt.scheduler);
  simt.body(simt.arguments);
  if (simt.thread[simt.current].copy_count > 0)
    simt_fail("thread %u returns before a copy to shared memory that it began has arrived",
              simt.current);
  simt.thread[simt.current].state = THREAD_RETURNED;
  simt.returned++;
  leave(true);
  abort();
}

/* Deadlock: reports one waiting thread and one that does not arrive. */
static void report_stuck(void) {
  unsigned stuck = 0;
  while (simt.thread[stuck].state == THREAD_RETURNED) stuck++;
  const simt_thread *t = &simt.thread[stuck];
  for (unsigned i = 0; i < simt.threads; i++) {
    const simt_thread *other = &simt.thread[i];
    bool is_elsewhere = other->state != t->state || other->line != t->line ||
                        other->file != t->file || other->mask != t->mask;
    if (!is_elsewhere) continue;
    if (other->state == THREAD_RETURNED)
      report("thread %u waits at %s (%s:%d) but thread %u has returned", stuck, t->what, t->file,
             t->line, i);
    else
      report("thread %u waits at %s (%s:%d) but thread %u waits at %s (%s:%d)", stuck, t->what,
             t->file, t->line, i, other->what, other->file, other->line);
    return;
  }
  report("thread %u waits at %s (%s:%d) with mask %08x, and no thread completes it", stuck, t->what,
         t->file, t->line, t->mask);
}

static void run_threads(void) {
  unsigned first;
  while (simt.returned < simt.threads && !simt.has_failed) {
    shuffle(simt.turn, simt.threads);
    simt.position = 0;
    if (!find_ready(&first)) {
      report_stuck();
      break;
    }
    simt.is_running = true;
    fiber_switch(&simt.scheduler, enter(first), false);
    simt.is_running = false;
  }
}

static void run_block(unsigned block, simt_index grid, size_t shared_bytes) {
  simt.block = block;
  simt.generation++;
  simt.block_epoch = simt.waiting = simt.returned = 0;
  simt_here.block = (simt_index){block % grid.x, block / grid.x, 0};
  memset(simt.warp, 0, sizeof simt.warp);
  simt.dynamic_shared = shared_bytes > 0 ? simt_allocate(shared_bytes) : NULL;
  for (unsigned i = 0; i < simt.threads; i++) {
    simt.thread[i].state = THREAD_READY;
    simt.thread[i].what = NULL;
    simt.thread[i].copy_count = simt.thread[i].group = 0;
    fiber_prepare(&simt.thread[i].fiber, thread_main);
  }
  run_threads();
  if (simt.dynamic_shared) simt_release(simt.dynamic_shared);
  while (simt.shared_count > 0) simt_release(simt.shared[--simt.shared_count]);
}

static int find_allowance(void (*body)(const void *)) {
  int i = 0;
  while (i < simt.allowed_count && simt.allowed[i].body != body) i++;
  return i;
}

int simt_allow_shared(void (*body)(const void *), size_t bytes) {
  int i = find_allowance(body);
  if (bytes > MOST_DYNAMIC_SHARED || i == SIMT_MOST_ALLOWED) return 1;
  if (i == simt.allowed_count) simt.allowed_count++;
  simt.allowed[i].body = body;
  if (bytes > simt.allowed[i].bytes) simt.allowed[i].bytes = bytes; /* launches may still wait */
  return 0;
}

static int capability = 90;

int simt_compiled_for(void) {
  return capability;
}

void simt_compile_for(int wanted) {
  capability = wanted;
}

static bool is_asked_for(size_t shared_bytes) {
  int i = find_allowance(simt.body);
  return shared_bytes <= USUAL_DYNAMIC_SHARED ||
         (i < simt.allowed_count && shared_bytes <= simt.allowed[i].bytes);
}

static bool is_possible(simt_index grid, unsigned threads, size_t shared_bytes) {
  simt.block = 0;
  if (grid.x == 0 || grid.x > INT32_MAX || grid.y == 0 || grid.y > 65535)
    report("no device takes a grid of %u x %u blocks", grid.x, grid.y);
  else if (threads == 0 || threads > SIMT_MOST_THREADS)
    report("no device takes a block of %u threads", threads);
  else if (shared_bytes > MOST_DYNAMIC_SHARED)
    report("no device has %zu bytes of shared memory for a block", shared_bytes);
  else if (!is_asked_for(shared_bytes))
    report("%zu bytes of shared memory have to be asked for first", shared_bytes);
  for (unsigned i = 0; i < threads && !simt.has_failed; i++) {
    if (simt.thread[i].fiber.stack) continue;
    err error = fiber_allocate(&simt.thread[i].fiber, STACK_BYTES);
    if (error) report("%s", err_message(error));
    err_free(error);
  }
  return !simt.has_failed;
}

int simt_launch(const char *kernel, void (*body)(const void *), const void *arguments,
                simt_index grid, unsigned threads, size_t shared_bytes) {
  unsigned *order, blocks = grid.x * grid.y;
  if (simt.message[0]) return 1; /* as on a device: after an error nothing runs */
  simt.kernel = kernel;
  simt.body = body;
  simt.arguments = arguments;
  simt.threads = threads;
  simt.has_failed = false;
  simt.launch++;
  simt_here = (simt_place){.block_size = {threads, 1, 1}, .grid_size = grid};
  if (!is_possible(grid, threads, shared_bytes)) return 1;
  order = malloc(blocks * sizeof *order);
  if (!order) abort();
  shuffle(order, blocks);
  simt_touch_begin();
  for (unsigned i = 0; i < blocks && !simt.has_failed; i++) {
    unsigned block = place_in_order(i, blocks, order);
    if (is_run(block, blocks)) run_block(block, grid, shared_bytes);
  }
  simt_touch_end();
  free(order);
  return simt.has_failed;
}

void simt_divert(int (*launcher)(void *stream, const simt_call *call)) {
  simt.launcher = launcher;
}

int simt_launch_on(void *stream, const simt_call *call) {
  if (simt.launcher) return simt.launcher(stream, call);
  return simt_launch(call->kernel, call->body, call->arguments, call->grid, call->threads,
                     call->shared_bytes);
}

void simt_launch_bound(unsigned threads) {
  if (simt.threads > threads)
    simt_fail("launched with blocks of %u threads, compiled for %u at most", simt.threads, threads);
}

void *simt_shared_dynamic(void) {
  if (!simt.dynamic_shared) simt_fail("uses dynamic shared memory but was launched without");
  return simt.dynamic_shared;
}

void *simt_shared(simt_shared_slot *slot, size_t bytes) {
  if (slot->generation != simt.generation) {
    if (simt.shared_count == SIMT_MOST_SHARED) simt_fail("too many shared arrays");
    slot->memory = simt.shared[simt.shared_count++] = simt_allocate(bytes);
    slot->generation = simt.generation;
  }
  return slot->memory;
}

void simt_barrier(const char *file, int line) {
  simt_thread *t = &simt.thread[simt.current];
  t->state = THREAD_AT_BARRIER;
  t->what = "__syncthreads";
  t->file = file;
  t->line = line;
  t->mask = 0;
  if (++simt.waiting == simt.threads) {
    for (unsigned i = 0; i < simt.threads; i++) {
      const simt_thread *other = &simt.thread[i];
      if (other->line != line || (other->file != file && strcmp(other->file, file) != 0))
        simt_fail("thread %u waits at __syncthreads (%s:%d) but thread %u waits at another (%s:%d)",
                  simt.current, file, line, i, other->file, other->line);
    }
    simt.waiting = 0;
    simt.block_epoch++;
    for (unsigned i = 0; i < simt.threads; i++) simt.thread[i].state = THREAD_READY;
  }
  simt_yield();
}
