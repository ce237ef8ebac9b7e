/* Ranks that are threads of one process: what comm.h promises, in the plainest way, so that the
 * mathematics of a spread batch can be tested in double precision without MPI. */
#ifndef FLIP_TESTS_COMM_THREADS_H
#define FLIP_TESTS_COMM_THREADS_H

#include "comm/comm.h"

enum { COMM_THREADS_MOST = 8 };
typedef struct comm_threads comm_threads;

comm_threads *comm_threads_create(int size);
/* One for each thread; they belong to the group. */
comm *comm_threads_of(comm_threads *group, int rank);
void comm_threads_destroy(comm_threads *group);

#endif
