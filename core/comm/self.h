/* A comm of one rank: transports the messages of NCCL with one rank (FLIP_COMM=nccl). */
#ifndef FLIP_COMM_SELF_H
#define FLIP_COMM_SELF_H

#include "comm/comm.h"

err self_open(comm **out) ERR_MUST_CHECK;

#endif
