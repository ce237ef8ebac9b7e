/* How this process was started: alone, or as one of several ranks of a run.
 *
 * Launchers set environment variables. The innermost launcher's are used: torchrun under mpirun
 * sets RANK and the others for its own processes.
 *
 *   variables   RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT; LOCAL_RANK (torchrun's names)
 *   MPI         OMPI_COMM_WORLD_SIZE (Open MPI), PMI_SIZE (MPICH and others), PMIX_RANK with
 *               SLURM_NTASKS (srun --mpi=pmix)
 */
#ifndef FLIP_BASE_LAUNCH_H
#define FLIP_BASE_LAUNCH_H

#include "base/err.h"

typedef enum { LAUNCH_ALONE, LAUNCH_MPI, LAUNCH_VARIABLES } launch_kind;

typedef struct {
  launch_kind kind;
  const char *ranks;   /* their number, as in the environment; NULL: started alone */
  int rank, size;      /* rank: -1 if only MPI knows it */
  int local_rank;      /* among the ranks on this machine; -1: unknown */
  const char *address; /* variables: MASTER_ADDR, where rank 0 listens */
  int port;            /* MASTER_PORT */
} launch;

/* ERR_INPUT for variables that are missing, not numbers, or contradictory. */
err launch_detect(launch *out) ERR_MUST_CHECK;

/* The GPU of this process among `visible` ones: by its local rank. ERR_UNSUPPORTED when there are
 * fewer. */
err launch_device(int visible, int *device) ERR_MUST_CHECK;

#endif
