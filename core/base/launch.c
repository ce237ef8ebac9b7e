#include "base/launch.h"

#include <limits.h>
#include <stdlib.h>

/* A whole number from `least` on. */
static err number(const char *name, long least, long most, int *out) {
  const char *text = getenv(name);
  char *end = NULL;
  long value = text ? strtol(text, &end, 10) : 0;
  if (!text || !*text)
    return err_new(ERR_INPUT,
                   "WORLD_SIZE is set, but %s is not: ranks are started with RANK, WORLD_SIZE, "
                   "MASTER_ADDR and MASTER_PORT (docs/clusters.md)",
                   name);
  if (*end || value < least || value > most)
    return err_new(ERR_INPUT, "%s=%s is not a whole number from %ld to %ld", name, text, least,
                   most);
  *out = (int)value;
  return NULL;
}

static int number_or(const char *name, int fallback) {
  const char *text = getenv(name);
  return text && *text ? atoi(text) : fallback;
}

static int local_rank(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID",
                                      "SLURM_LOCALID"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (getenv(names[i])) return number_or(names[i], -1);
  return -1;
}

static err detect_variables(launch *out) {
  err error = NULL;
  TRY(number("RANK", 0, out->size - 1, &out->rank));
  TRY(number("MASTER_PORT", 1, 65535, &out->port));
  out->address = getenv("MASTER_ADDR");
  if (!out->address || !*out->address)
    FAIL(ERR_INPUT, "WORLD_SIZE=%d is set, but MASTER_ADDR is not: it names the machine of rank 0",
         out->size);
  out->kind = LAUNCH_VARIABLES;
  out->local_rank = -1;
  if (getenv("LOCAL_RANK")) TRY(number("LOCAL_RANK", 0, out->size - 1, &out->local_rank));
cleanup:
  return error;
}

/* The number of ranks that a launcher of MPI started; NULL: none, or only one. */
static const char *mpi_ranks(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (number_or(names[i], 1) > 1) return getenv(names[i]);
  return getenv("PMIX_RANK") && number_or("SLURM_NTASKS", 1) > 1 ? getenv("SLURM_NTASKS") : NULL;
}

err launch_detect(launch *out) {
  *out = (launch){.size = 1, .local_rank = -1};
  if (getenv("RANK") && getenv("WORLD_SIZE")) {
    err error = number("WORLD_SIZE", 1, INT_MAX, &out->size);
    if (error || out->size > 1) {
      out->ranks = getenv("WORLD_SIZE");
      return error ? error : detect_variables(out);
    }
  }
  const char *ranks = mpi_ranks();
  if (ranks)
    *out = (launch){.kind = LAUNCH_MPI,
                    .ranks = ranks,
                    .rank = -1,
                    .size = atoi(ranks),
                    .local_rank = local_rank()};
  return NULL;
}

err launch_device(int visible, int *device) {
  launch l;
  err error = launch_detect(&l);
  *device = 0;
  if (error || l.kind == LAUNCH_ALONE || visible <= 1) return error;
  int wanted = l.local_rank >= 0 ? l.local_rank : l.rank >= 0 ? l.rank % visible : 0;
  if (wanted >= visible)
    return err_new(ERR_UNSUPPORTED,
                   "this process is local rank %d, but %d GPUs are visible here: start at most one "
                   "rank per GPU on each machine",
                   wanted, visible);
  *device = wanted;
  return NULL;
}
