/* A command that trains finishes its step and writes a checkpoint when it is signalled. */
#ifndef FLIP_CLI_STOP_H
#define FLIP_CLI_STOP_H

#include <signal.h>

/* From now on SIGINT, SIGTERM and SIGUSR1 (which mpirun forwards to every rank) set what is
 * returned; a third signal ends the process at once. */
const volatile sig_atomic_t *stop_on_signals(void);

#endif
