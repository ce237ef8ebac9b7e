/* Whether the user or the scheduler has asked this process to stop. A command that finishes work in
 * hand first sets the flag from its signal handler (cli/stop.h); long loops that have nothing to
 * finish end with ERR_INTERRUPTED. In other commands signals have their usual effect. */
#ifndef FLIP_BASE_INTERRUPT_H
#define FLIP_BASE_INTERRUPT_H

#include <signal.h>

extern volatile sig_atomic_t interrupt_requested;

#endif
