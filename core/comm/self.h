/* One rank alone, as a comm: for NCCL with one rank (FLIP_COMM=nccl), which then has someone to
 * bring its messages. */
#ifndef FLIP_COMM_SELF_H
#define FLIP_COMM_SELF_H

#include "comm/comm.h"

err self_open(comm **out) ERR_MUST_CHECK;

#endif
