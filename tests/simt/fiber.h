/* Fibers: one stack for every CUDA thread of a block, switched manually in one operating-system
 * thread. Every switch is announced to AddressSanitizer. */
#ifndef FLIP_SIMT_FIBER_H
#define FLIP_SIMT_FIBER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#if defined(__SANITIZE_ADDRESS__)
#define SIMT_HAS_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIMT_HAS_ADDRESS_SANITIZER 1
#endif
#endif

typedef struct {
  void *position; /* the saved stack pointer (or context), while it does not run */
  char *stack;    /* NULL for the fiber that the program started with */
  size_t stack_bytes;
  void *sanitizer; /* AddressSanitizer's own record of the stack */
} fiber;

/* A stack of `bytes` with a page below it that may not be touched. It lives as long as the
 * process. */
err fiber_allocate(fiber *f, size_t bytes) ERR_MUST_CHECK;

/* Makes the next switch to `f` begin at `entry`, regardless of what ran on its stack before.
 * `entry` must call fiber_arrived first and never return. */
void fiber_prepare(fiber *f, void (*entry)(void));

/* Leaves `from`, continues `to`. A fiber that `is_last` is not to be switched to again unless
 * it is prepared again. */
void fiber_switch(fiber *from, fiber *to, bool is_last);
/* The first call of an entry function; `from`: the fiber that switched to it. */
void fiber_arrived(fiber *from);

#endif
