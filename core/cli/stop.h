/* Signals for commands that train: finish the step, write a checkpoint, exit. */
#ifndef FLIP_CLI_STOP_H
#define FLIP_CLI_STOP_H

#include <signal.h>

/* From now on SIGINT, SIGTERM and SIGUSR1 (which mpirun forwards to every rank) set the returned
 * flag; a third signal ends the process immediately. */
const volatile sig_atomic_t *stop_on_signals(void);

#endif
