#include "sweep/retry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/runs.h"
#include "sweep/directory.h"

static const double longest_wait = 3600;

/* Kinds not listed here are transient. */
static const struct {
  const char *kind;
  bool passes, passes_with_checkpoint;
} kinds[] = {{"nan", false, false},    /* the same settings give the same NaN */
             {"input", false, false},  /* a wrong file stays wrong until somebody mends it */
             {"timeout", false, true}, /* the next process gets its own time limit */
             {"stopped", false, false}};

bool retry_is_worth_it(const char *kind, bool has_checkpoint) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(kinds[i].kind, kind) == 0)
      return has_checkpoint ? kinds[i].passes_with_checkpoint : kinds[i].passes;
  return true;
}

double retry_wait(const spec_limits *limits, int number) {
  double wait = limits->retry_wait_seconds;
  for (int i = 1; i < number && wait < longest_wait; i++) wait *= 2;
  return wait < longest_wait ? wait : longest_wait;
}

void retry_on_fewer_ranks(const char *kind, run_cell *c, strbuf *said) {
  int64_t fewer = spec_fewer_ranks(c->cell, &c->limits, c->ranks);
  if (strcmp(kind, "rank") != 0 || !fewer) return;
  strbuf_format(said, "on %lld rank%s instead of %lld", (long long)fewer, fewer == 1 ? "" : "s",
                (long long)c->ranks);
  c->ranks = fewer;
}

static err set_aside(store *s, const char *results, run_cell *c) {
  err error = NULL;
  /* a run that was set aside already, and whose next process could not be recorded */
  const size_t own = directory_find_ending(c->directory, ".failed-");
  char *from = directory_path(results, c->directory, NULL), *to = NULL, *name = NULL;
  c->directory[own] = '\0';
  if (!from) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(directory_find_name(s, results, c->directory, ".failed-", true, &name));
  to = directory_path(results, name, NULL);
  if (!to) FAIL(ERR_MEMORY, "out of memory: a path");
  /* in this order, being killed in between leaves a directory that the next plan reads again */
  TRY(store_move_run(s, c->run_id, name));
  if (rename(from, to) != 0) error = err_errno(errno, "%s: cannot rename to %s", from, to);
cleanup:
  free(name);
  free(from);
  free(to);
  c->run_id = 0;
  c->has_begun = false;
  return error;
}

err retry_prepare(store *s, const run_options *options, const char *kind, run_cell *c) {
  c->state = CELL_WAITING;
  /* The same weights would give the same NaN. Wrong input with a checkpoint is the data's, since
   * other settings are another cell: once mended, or restored, training continues. */
  bool starts_anew =
      strcmp(kind, "nan") == 0 || !directory_has_checkpoint(options->results, c->directory);
  if (!starts_anew) return NULL;
  if (!options->is_dry) return set_aside(s, options->results, c);
  c->run_id = 0;
  c->has_begun = false;
  return NULL;
}
