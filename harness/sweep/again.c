#include "sweep/again.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "sweep/directory.h"
#include "store/inputs.h"
#include "store/runs.h"

/* Runs of this experiment whose data differs from that of the newest run with the same settings. */
static err mark_other_data(store *s, const run_sweep *sweep, bool *is_wanted) {
  err error = NULL;
  size_t count = 0;
  bool is_mixed;
  int64_t *runs = mem_zeroed(sweep->count + 1, sizeof *runs);
  size_t *cells = mem_zeroed(sweep->count + 1, sizeof *cells);
  size_t *groups = mem_zeroed(sweep->count + 1, sizeof *groups);
  if (!runs || !cells || !groups) FAIL(ERR_MEMORY, "out of memory: the sweep");
  for (size_t i = 0; i < sweep->count; i++) is_wanted[i] = sweep->cells[i].has_changed_files;
  for (size_t i = 0; i < sweep->count; i++)
    if (sweep->cells[i].run_id) {
      cells[count] = i;
      runs[count++] = sweep->cells[i].run_id;
    }
  for (input_kind k = 0; k < INPUT_KINDS; k++) {
    if (!store_input_decides(k)) continue;
    TRY(store_group_inputs(s, runs, count, k, groups, &is_mixed));
    for (size_t i = 0; i < count; i++)
      if (groups[i]) is_wanted[cells[i]] = true;
  }
cleanup:
  free(runs);
  free(cells);
  free(groups);
  return error;
}

/* A cell that is not found to have other data may still have. */
static void say_unknown(const run_sweep *sweep, const bool *is_wanted) {
  size_t count = 0, finished = 0;
  const char *first = "";
  for (size_t i = 0; i < sweep->count; i++) {
    const run_cell *c = &sweep->cells[i];
    finished += c->state == CELL_FINISHED;
    if (c->state != CELL_FINISHED || !c->has_unknown_files || is_wanted[i]) continue;
    if (!count++) first = c->cell->label;
  }
  if (count)
    log_warning("--retry data: cannot tell whether the files of %zu of %zu finished %s have "
                "changed (%s%s): they were trained on another machine or by an earlier version, "
                "their files are missing here, or their data is a pipe; they stay as they are, "
                "and 'flipbench runs archive RUN' has one trained again",
                count, finished, text_plural((int64_t)finished, "cell", "cells"), first,
                count > 1 ? ", …" : "");
}

/* A cell that is trained on different data also resets the cells that start from its weights.
 * Parents come before them. */
static void mark_descendants(const run_sweep *sweep, bool *is_wanted) {
  for (size_t i = 0; i < sweep->count; i++) {
    ptrdiff_t parent = sweep->cells[i].cell->parent;
    if (parent != SPEC_NO_PARENT && is_wanted[parent]) is_wanted[i] = true;
  }
}

static err set_waiting(const spec_experiment *e, store *s, const run_options *options,
                       const char *why, run_cell *c) {
  err error = options->is_dry ? NULL : run_archive(s, options->results, c->run_id);
  c->state = CELL_WAITING;
  c->has_begun = false;
  c->run_id = 0;
  c->lost_share = NAN;
  c->has_changed_files = c->has_unknown_files = false;
  free(c->directory);
  free(c->why);
  c->directory = directory_name(e, c->cell);
  c->why = mem_copy_string(why);
  return error ? error : c->directory && c->why ? NULL : mem_error(0, "a path");
}

/* Waits again if it is finished, and its parent with other weights than it started from. */
static err follow(const spec_experiment *e, store *s, const run_options *options,
                  const run_sweep *sweep, run_cell *c) {
  bool comes_from;
  if (c->cell->parent == SPEC_NO_PARENT || c->state != CELL_FINISHED) return NULL;
  const run_cell *parent = &sweep->cells[c->cell->parent];
  if (parent->state != CELL_FINISHED) return NULL;
  err error = store_comes_from(s, c->run_id, parent->run_id, &comes_from);
  if (error || comes_from) return error;
  return set_waiting(e, s, options, "run again: its parent was trained again", c);
}

err again_follow(const spec_experiment *e, store *s, const run_options *options, run_sweep *sweep,
                 size_t parent) {
  err error = NULL;
  for (size_t i = 0; i < sweep->count && !error; i++)
    if (sweep->cells[i].cell->parent == (ptrdiff_t)parent)
      error = follow(e, s, options, sweep, &sweep->cells[i]);
  return error;
}

static err repeat(const spec_experiment *e, store *s, const run_options *options,
                  run_sweep *sweep) {
  const char *why = options->again == AGAIN_DISTURBED
                        ? "run again: the previous run was disturbed"
                        : "run again: the previous run had different data";
  bool *is_wanted = mem_zeroed(sweep->count, sizeof *is_wanted);
  if (!is_wanted) return mem_error(sweep->count, "the sweep");
  err error = NULL;
  if (options->again == AGAIN_DATA)
    error = mark_other_data(s, sweep, is_wanted);
  else
    for (size_t i = 0; i < sweep->count; i++) is_wanted[i] = !isnan(sweep->cells[i].lost_share);
  if (options->again == AGAIN_DATA) mark_descendants(sweep, is_wanted);
  if (options->again == AGAIN_DATA && !error) say_unknown(sweep, is_wanted);
  for (size_t i = 0; i < sweep->count && !error; i++)
    if (is_wanted[i] && sweep->cells[i].state == CELL_FINISHED)
      error = set_waiting(e, s, options, why, &sweep->cells[i]);
  free(is_wanted);
  return error;
}

err again_prepare(const spec_experiment *e, store *s, const run_options *options,
                  run_sweep *sweep) {
  bool repeats = options->again == AGAIN_DISTURBED || options->again == AGAIN_DATA;
  err error = repeats ? repeat(e, s, options, sweep) : NULL;
  for (size_t i = 0; i < sweep->count && !error; i++)
    error = follow(e, s, options, sweep, &sweep->cells[i]);
  return error;
}
