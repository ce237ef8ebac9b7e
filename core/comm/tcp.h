/* Ranks connected by TCP, for buffers in host memory: nothing to install. Every rank is connected
 * with every other; sums are the same bits as MPI's. */
#ifndef FLIP_COMM_TCP_H
#define FLIP_COMM_TCP_H

#include "base/launch.h"
#include "comm/comm.h"

/* Collective, for ranks that were started with environment variables. */
err tcp_open(const launch *l, comm **out) ERR_MUST_CHECK;

#endif
