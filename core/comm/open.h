/* Connects this process with the other ranks of its run, depending on how it was started
 * (base/launch.h): MPI, a plugin, or TCP. Buffers on a GPU use NCCL, another plugin, which uses the
 * former for its messages in host memory. */
#ifndef FLIP_COMM_OPEN_H
#define FLIP_COMM_OPEN_H

#include <stdbool.h>

#include "comm/comm.h"

/* The number of ranks that the launcher started, in its own words; NULL: this process was started
 * alone, or with variables that comm_open rejects. */
const char *comm_launched(void);

/* *out is NULL for a process that was started alone, unless the variable FLIP_COMM is "nccl", which
 * sends the sums of one rank through NCCL too. ERR_UNSUPPORTED, in a sentence that says what
 * to install or to build, when a launcher started several ranks and this build cannot connect them,
 * or not all of them.
 * To be called before anything else uses the network. */
err comm_open(comm **out) ERR_MUST_CHECK;
void comm_close(comm *c); /* NULL is allowed */

/* Collective. ERR_UNSUPPORTED on all ranks if some compute on GPUs and others on the CPU: with
 * device: auto each rank chooses for itself. */
err comm_check_devices(const ops *o, comm *c) ERR_MUST_CHECK; /* NULL is allowed */

/* Collective. ERR_UNSUPPORTED on all ranks if their kernels (ops.kernels, ops.architecture) are not
 * the same. consequence: how the sentence that names them ends, after "which". NULL is allowed as
 * c. */
err comm_check_kernels(const ops *o, comm *c, const char *consequence) ERR_MUST_CHECK;

/* Collective. Makes *c the comm for buffers of `o`: unchanged if they are in host memory, else
 * NCCL's. is_deterministic: sums as documented in comm.h; else NCCL may choose the order of
 * summation. On failure *c is unchanged; ERR_IO may affect one rank only, other errors affect all.
 * A NULL *c stays NULL. */
err comm_attach(ops *o, bool is_deterministic, comm **c) ERR_MUST_CHECK;
/* Undoes comm_attach; call it before `o` is destroyed and after its recordings were freed. */
void comm_detach(comm **c);

/* What a plugin exports under the name COMM_PLUGIN_SYMBOL: one of the two. */
#define COMM_PLUGIN_VERSION 3
#define COMM_PLUGIN_SYMBOL "flip_comm_plugin"
typedef struct {
  int version;
  err (*open)(comm **out);
  err (*attach)(comm *host, ops *o, bool is_deterministic, comm **out);
} comm_plugin;

#endif
