#include "simt/fiber.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef SIMT_HAS_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

/* Tops at the same place of a page would share a few sets of the first-level cache. */
static size_t next_offset(size_t page) {
  enum { LINE = 64, LINES_APART = 5 };
  static size_t count;
  return count++ * LINES_APART * LINE % page;
}

err fiber_allocate(fiber *f, size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *block = mmap(NULL, bytes + page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (block == MAP_FAILED) return err_new(ERR_MEMORY, "no memory for a fiber's stack");
  mprotect(block, page, PROT_NONE); /* a stack that overflows faults here */
  *f = (fiber){.stack = block + page, .stack_bytes = bytes - next_offset(page)};
  return NULL;
}

#if defined(__x86_64__) && !defined(SIMT_UCONTEXT) /* which a test of the rest may define */

/* Saves what a called function must keep, swaps stacks, restores. swapcontext does the same with
 * two system calls for the signal mask, which takes fifty times as long. */
void fiber_swap(void **save, void *load);
__asm__(".text\n"
        ".globl fiber_swap\n"
        ".type fiber_swap, @function\n"
        "fiber_swap:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
        "  ret\n"
        ".size fiber_swap, .-fiber_swap\n");

static void prepare(fiber *f, void (*entry)(void)) {
  enum { SAVED = 6 };
  uintptr_t top = ((uintptr_t)f->stack + f->stack_bytes) / 64 * 64;
  uintptr_t *at = (uintptr_t *)top - 2; /* so that the entry finds the stack as after a call */
  *at = (uintptr_t)entry;
  at -= SAVED;
  memset(at, 0, SAVED * sizeof *at);
  f->position = at;
}

static void swap(fiber *from, fiber *to) {
  fiber_swap(&from->position, to->position);
}

#else

#include <stdlib.h>
#include <ucontext.h>

static ucontext_t *context_of(fiber *f) {
  if (!f->position) f->position = calloc(1, sizeof(ucontext_t));
  if (!f->position) abort();
  return f->position;
}

static void prepare(fiber *f, void (*entry)(void)) {
  ucontext_t *context = context_of(f);
  getcontext(context);
  context->uc_stack.ss_sp = f->stack;
  context->uc_stack.ss_size = f->stack_bytes;
  makecontext(context, entry, 0);
}

static void swap(fiber *from, fiber *to) {
  swapcontext(context_of(from), context_of(to));
}

#endif

void fiber_prepare(fiber *f, void (*entry)(void)) {
#ifdef SIMT_HAS_ADDRESS_SANITIZER
  ASAN_UNPOISON_MEMORY_REGION(f->stack, f->stack_bytes); /* frames of one that was abandoned */
  f->sanitizer = NULL;
#endif
  prepare(f, entry);
}

void fiber_switch(fiber *from, fiber *to, bool is_last) {
#ifdef SIMT_HAS_ADDRESS_SANITIZER
  __sanitizer_start_switch_fiber(is_last ? NULL : &from->sanitizer, to->stack, to->stack_bytes);
#else
  (void)is_last;
#endif
  swap(from, to);
#ifdef SIMT_HAS_ADDRESS_SANITIZER
  __sanitizer_finish_switch_fiber(from->sanitizer, NULL, NULL);
#endif
}

void fiber_arrived(fiber *from) {
#ifdef SIMT_HAS_ADDRESS_SANITIZER
  const void *stack;
  size_t bytes;
  __sanitizer_finish_switch_fiber(NULL, &stack, &bytes);
  if (!from->stack) { /* the stack that the system gave to the program */
    from->stack = (char *)(uintptr_t)stack;
    from->stack_bytes = bytes;
  }
#else
  (void)from;
#endif
}
