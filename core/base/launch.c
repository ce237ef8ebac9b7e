#include "base/launch.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_set(const char *name) {
  const char *text = getenv(name);
  return text && *text;
}

static err is_missing(const char *missing, const char *present) {
  return err_new(ERR_INPUT,
                 "%s is set, but %s is not: ranks are started with RANK, WORLD_SIZE, MASTER_ADDR "
                 "and MASTER_PORT (docs/clusters.md)",
                 present, missing);
}

/* A whole number from `least` on. */
static err number(const char *name, long least, long most, int *out) {
  const char *text = getenv(name);
  char *end = NULL;
  if (!is_set(name)) return is_missing(name, "WORLD_SIZE");
  long value = strtol(text, &end, 10);
  if (*end || value < least || value > most)
    return err_new(ERR_INPUT, "%s=%s is not a whole number from %ld to %ld", name, text, least,
                   most);
  *out = (int)value;
  return NULL;
}

/* One that a launcher may have set; else *out is unchanged. */
static err number_if_set(const char *name, int *out) {
  return is_set(name) ? number(name, 0, INT_MAX, out) : NULL;
}

static err find_local_rank(int *out) {
  static const char *const names[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID",
                                      "SLURM_LOCALID"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (is_set(names[i])) return number(names[i], 0, INT_MAX, out);
  return NULL;
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

/* Ranks that a launcher of MPI started; unchanged: none, or only one. */
static err detect_mpi(launch *out) {
  static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    int size = 1;
    if (strcmp(names[i], "SLURM_NTASKS") == 0 && !getenv("PMIX_RANK")) continue;
    err error = number_if_set(names[i], &size);
    if (error) return error;
    if (size <= 1) continue;
    *out = (launch){
        .kind = LAUNCH_MPI, .ranks = getenv(names[i]), .rank = -1, .size = size, .local_rank = -1};
    return find_local_rank(&out->local_rank);
  }
  return NULL;
}

static err detect(launch *out) {
  *out = (launch){.size = 1, .local_rank = -1};
  if (getenv("RANK") && getenv("WORLD_SIZE")) {
    err error = number("WORLD_SIZE", 1, INT_MAX, &out->size);
    if (error || out->size > 1) {
      out->ranks = getenv("WORLD_SIZE");
      return error ? error : detect_variables(out);
    }
  }
  return detect_mpi(out);
}

/* Where a rank's other variables are set, one without RANK or WORLD_SIZE would train alone, and so
 * would each of the others. */
static err check_complete(void) {
  bool has_rank = is_set("RANK"), has_size = is_set("WORLD_SIZE");
  int size = 0;
  if (has_rank == has_size || !is_set("MASTER_ADDR") || !is_set("MASTER_PORT")) return NULL;
  if (has_rank) return is_missing("WORLD_SIZE", "RANK");
  err error = number("WORLD_SIZE", 1, INT_MAX, &size);
  return error || size == 1 ? error : is_missing("RANK", "WORLD_SIZE");
}

err launch_detect(launch *out) {
  err error = detect(out);
  return error || out->kind != LAUNCH_ALONE ? error : check_complete();
}

err launch_device(int visible, int *device) {
  launch l;
  err error = detect(&l); /* commands that use one process do not need the variables of ranks */
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
