/* What simt.c, warp.c and record.c share. */
#ifndef FLIP_SIMT_MACHINE_H
#define FLIP_SIMT_MACHINE_H

#include "simt/fiber.h"
#include "simt/simt.h"

enum {
  SIMT_LANES = 32,
  SIMT_MOST_THREADS = 1024,
  SIMT_MOST_WARPS = 32,
  SIMT_MOST_SHARED = 32,
  SIMT_MOST_ALLOWED = 128,
  SIMT_MOST_COPIES = 256 /* that a thread has in flight */
};

typedef enum { THREAD_READY, THREAD_AT_BARRIER, THREAD_IN_WARP, THREAD_RETURNED } thread_state;

/* A copy to shared memory that a thread has begun and not waited for. */
typedef struct {
  void *to;
  const void *from; /* NULL: zeros */
  unsigned group;
} simt_copy;

/* What a lane shows to the others of its warp. */
typedef struct {
  uint32_t word[6];
} simt_payload;

typedef struct {
  fiber fiber;
  thread_state state;
  const char *what, *file; /* of the wait */
  int line;
  unsigned mask;
  simt_payload given;
  unsigned copy_count, group; /* of its copies; the group that the next one joins */
} simt_thread;

typedef struct {
  uint32_t arrived; /* lanes that wait */
  uint32_t epoch;   /* completed __syncwarp */
  simt_payload shown[SIMT_LANES];
} simt_warp;

typedef struct {
  int (*launcher)(void *stream, const simt_call *call); /* NULL: launches run at once */
  const char *kernel;
  void (*body)(const void *);
  const void *arguments;
  bool is_running, has_failed;
  char message[1024];

  uint32_t launch;     /* counts launches */
  uint64_t generation; /* counts blocks over all launches */
  uint32_t block, block_epoch;
  unsigned threads, current, waiting, returned;
  unsigned position, turn[SIMT_MOST_THREADS]; /* of the pass over the threads that is going on */
  simt_thread thread[SIMT_MOST_THREADS];
  simt_copy copies[SIMT_MOST_THREADS][SIMT_MOST_COPIES]; /* of each thread, the oldest first */
  simt_warp warp[SIMT_MOST_WARPS];
  fiber scheduler;

  struct {
    void (*body)(const void *);
    size_t bytes;
  } allowed[SIMT_MOST_ALLOWED]; /* dynamic shared memory that kernels requested */
  int allowed_count;

  void *dynamic_shared;
  void *shared[SIMT_MOST_SHARED];
  int shared_count;

  simt_order order;
  uint64_t random;
} simt_machine;

extern simt_machine simt;

/* Records the first error of a launch and leaves the thread for good. */
void simt_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Lets the other threads run until the thread's state is THREAD_READY again. */
void simt_yield(void);

typedef enum { ACCESS_NONE, ACCESS_READ, ACCESS_WRITE, ACCESS_ATOMIC } access_kind;
/* Checks one access of the running thread against the bounds and against earlier accesses. */
void record_access(const void *address, size_t bytes, access_kind kind);

#endif
