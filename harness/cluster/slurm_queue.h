/* Slurm's own commands: sbatch, squeue and scontrol. Internal to cluster/. */
#ifndef FLIPBENCH_CLUSTER_SLURM_QUEUE_H
#define FLIPBENCH_CLUSTER_SLURM_QUEUE_H

#include "cluster/slurm.h"

/* Submits a script; returns the job id. Variables SBATCH_… that would override an option of the
 * script are not passed on. `said`: what sbatch wrote on stderr, which is also the message of an
 * error. */
err slurm_sbatch(const char *script, int64_t *job, strbuf *said) ERR_MUST_CHECK;
/* Asks the queue which tasks it still has, of whichever user, and in what state; counts the polls
 * that missed a task. */
err slurm_look(slurm_tasks *tasks) ERR_MUST_CHECK;
/* The cluster's MaxArraySize; false: not known. */
bool slurm_most_tasks(int64_t *most);

#endif
