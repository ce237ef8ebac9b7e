/* Whether the user or the scheduler has asked this process to stop. A command that finishes work in
 * hand first sets the flag from its signal handler (cli/stop.h); long loops that have nothing to
 * finish end with ERR_INTERRUPTED. In other commands signals have their usual effect. */
#ifndef FLIP_BASE_INTERRUPT_H
#define FLIP_BASE_INTERRUPT_H

#include <signal.h>
#include <stdbool.h>

extern volatile sig_atomic_t interrupt_requested;

/* Was this process started to outlive its terminal (nohup)? Then SIGHUP must stay ignored. */
bool interrupt_ignores_hangup(void);

/* SIGINT, SIGTERM and, unless it must stay ignored, SIGHUP call `handler`. */
void interrupt_catch(void (*handler)(int number));

/* From any thread. */
static inline bool interrupt_is_requested(void) {
  return __atomic_load_n(&interrupt_requested, __ATOMIC_RELAXED) != 0;
}
/* From a signal handler. */
static inline void interrupt_request(void) {
  __atomic_store_n(&interrupt_requested, 1, __ATOMIC_RELAXED);
}

#endif
