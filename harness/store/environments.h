/* The environments of runs: commit, compiler, machine, libraries. */
#ifndef FLIPBENCH_STORE_ENVIRONMENTS_H
#define FLIPBENCH_STORE_ENVIRONMENTS_H

#include "store/store.h"

typedef struct {
  bool is_known;  /* false: no process of the run recorded it; all strings are "" */
  char *commit;   /* owned, as all strings; never NULL */
  char *dirty;    /* digest of the uncommitted diff; "": none */
  char *programs; /* "A, then B": first digits of the commits of a run that went on with another
                   * program; "": one (or not of a single run) */
  char *compiler, *flags, *program_version, *host, *os, *cpu;
  char *device, *device_name, *driver; /* device: "cpu" or "cuda" */
  char *precision;
  char *kernels;   /* of a run on a CPU: its variant of the kernels; "": not recorded, or a GPU */
  char *libraries; /* JSON, name to version */
  char *library_list; /* "onednn 2.6.3, …" */
  int64_t threads;
} store_environment;

/* The environment of a run: of its newest process. Free with store_free_environment. */
err store_load_environment(store *s, int64_t run_id, store_environment *e) ERR_MUST_CHECK;
void store_free_environment(store_environment *e);

/* The distinct environments of the runs that are the results of an experiment's cells. Free with
 * store_free_environments. */
err store_list_environments(store *s, const char *experiment, store_environment **all,
                            size_t *count) ERR_MUST_CHECK;
void store_free_environments(store_environment *all, size_t count);

#endif
