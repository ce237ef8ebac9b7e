/* How ranks that were started with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT find each other:
 * rank 0 listens on that port, the others connect to it. */
#ifndef FLIP_COMM_RENDEZVOUS_H
#define FLIP_COMM_RENDEZVOUS_H

#include "base/err.h"
#include "base/launch.h"

/* Seconds to wait for all ranks: 120, or the variable FLIP_RENDEZVOUS_SECONDS; ERR_INPUT if that is
 * no duration. */
err rendezvous_seconds(double *seconds) ERR_MUST_CHECK;

/* Collective. sockets [size]: on rank 0 one to every other rank, on the others one to rank 0; -1
 * where there is none. The caller closes them, after an error too. */
err rendezvous_meet(const launch *l, int *sockets) ERR_MUST_CHECK;

#endif
