/* Which compiler and flags each build command gave: a line each in RESULTS/benchmarks/builds.jsonl.
 */
#ifndef FLIPBENCH_TIMING_BUILDS_H
#define FLIPBENCH_TIMING_BUILDS_H

#include <stdbool.h>

#include "base/err.h"

typedef struct {
  const char *results, *machine, *command;
} builds_place;

/* Adds a compiler with its flags, unless it is there already or is "". */
err builds_record(const builds_place *place, const char *build) ERR_MUST_CHECK;
/* A JSON array of those that only other commands gave on the machine; free it. */
err builds_list_others(const builds_place *place, char **text) ERR_MUST_CHECK;
/* Did one command give both on the machine? */
err builds_have_one_command(const char *results, const char *machine, const char *a, const char *b,
                            bool *have_one) ERR_MUST_CHECK;

#endif
