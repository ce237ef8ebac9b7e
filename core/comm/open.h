/* Detects whether this process is one of several ranks, and opens the plugin that connects them.
 *
 * Launchers set environment variables: mpirun (Open MPI: OMPI_COMM_WORLD_SIZE; MPICH and others
 * by PMI: PMI_SIZE) and srun with PMIx (PMIX_RANK and SLURM_NTASKS). */
#ifndef FLIP_COMM_OPEN_H
#define FLIP_COMM_OPEN_H

#include <stdbool.h>

#include "comm/comm.h"

/* How many ranks a launcher started, as it says itself; NULL: this process was started alone. */
const char *comm_launched(void);

/* *out is NULL for a process that was started alone. ERR_UNSUPPORTED, in a sentence that says what
 * to install or to build, when a launcher started several and this build cannot connect them.
 * `is_gpu`: the buffers will lie in a GPU's memory. To be called before anything else uses the
 * network. */
err comm_open(bool is_gpu, comm **out) ERR_MUST_CHECK;
void comm_close(comm *c); /* NULL is allowed */

/* What a plugin exports under the name COMM_PLUGIN_SYMBOL. */
#define COMM_PLUGIN_VERSION 2
#define COMM_PLUGIN_SYMBOL "flip_comm_plugin"
typedef struct {
  int version;
  err (*open)(comm **out);
} comm_plugin;

#endif
