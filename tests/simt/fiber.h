/* Fibers: one stack for every CUDA thread of a block, switched by hand in one operating-system
 * thread. AddressSanitizer is told of every switch. */
#ifndef FLIP_SIMT_FIBER_H
#define FLIP_SIMT_FIBER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

typedef struct {
  void *position; /* the saved stack pointer (or context), while it does not run */
  char *stack;    /* NULL for the fiber that the program started with */
  size_t stack_bytes;
  void *sanitizer; /* AddressSanitizer's own record of the stack */
} fiber;

/* A stack of `bytes` with a page below it that may not be touched. */
err fiber_allocate(fiber *f, size_t bytes) ERR_MUST_CHECK;
void fiber_release(fiber *f);

/* Makes the next switch to `f` begin at `entry`, whatever ran on its stack before. `entry` must
 * call fiber_arrived first and never return. */
void fiber_prepare(fiber *f, void (*entry)(void));

/* Leaves `from`, goes on with `to`. A fiber that `is_last` is not to be switched to again unless
 * it is prepared anew. */
void fiber_switch(fiber *from, fiber *to, bool is_last);
/* The first call of an entry function; `from`: the fiber that switched to it. */
void fiber_arrived(fiber *from);

/* The address lies on this fiber's stack. */
bool fiber_owns(const fiber *f, const void *address);

#endif
