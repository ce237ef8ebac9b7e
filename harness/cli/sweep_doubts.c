/* Warnings at the end of a sweep about unreliable numbers: disturbed cells, and cells whose inputs
 * differ from those of other runs with the same settings. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "store/facts.h"
#include "store/inputs.h"

enum { MOST_NAMED = 8 };

/* "A, B and 3 more". */
static void add_name(strbuf *names, size_t count, const char *format, const char *label,
                     double percent) {
  if (count >= MOST_NAMED) return;
  if (count) strbuf_append(names, ", ");
  strbuf_append(names, label);
  if (!isnan(percent)) strbuf_format(names, format, percent);
}

static void close_names(strbuf *names, size_t count) {
  if (count > MOST_NAMED) strbuf_format(names, " and %zu more", count - MOST_NAMED);
}

static err say_disturbed(store *s, run_sweep *sweep, const char *again) {
  strbuf names = {0};
  size_t count = 0;
  err error = NULL;
  for (size_t i = 0; i < sweep->count && !error; i++) {
    run_cell *c = &sweep->cells[i];
    if (c->state != CELL_FINISHED) continue;
    error = store_find_lost_share(s, c->run_id, &c->lost_share);
    if (error || isnan(c->lost_share)) continue;
    add_name(&names, count++, " (%.0f %% of its time lost)", c->cell->label, 100 * c->lost_share);
  }
  close_names(&names, count);
  if (!error && count) {
    log_warning("†: other processes disturbed %zu of %zu cells, so their times are unreliable: %s",
                count, sweep->count, strbuf_string(&names));
    log_line(LOG_INFO, "to measure them again on an idle machine: %s --retry disturbed", again);
  }
  strbuf_free(&names);
  return error;
}

/* The cells of one kind of difference. `runs` are those of `cells`. */
static err say_difference(store *s, const run_sweep *sweep, input_kind kind, const int64_t *runs,
                          const size_t *cells, size_t count, size_t *groups, bool *was_said) {
  strbuf names = {0};
  size_t named = 0;
  bool is_mixed;
  err error = store_group_inputs(s, runs, count, kind, groups, &is_mixed);
  for (size_t i = 0; i < count && !error; i++)
    if (groups[i]) add_name(&names, named++, "", sweep->cells[cells[i]].cell->label, NAN);
  close_names(&names, named);
  if (!error && is_mixed) {
    log_warning("%zu of %zu cells used different %s from the newest run with the same settings "
                "and cannot be compared with it: %s",
                named, count, store_input_name(kind), strbuf_string(&names));
    *was_said = true;
  }
  strbuf_free(&names);
  return error;
}

/* Until something is trained on them, only their names, sizes and times are known. */
static bool say_changed_files(const run_sweep *sweep) {
  strbuf names = {0};
  size_t count = 0;
  for (size_t i = 0; i < sweep->count; i++)
    if (sweep->cells[i].state == CELL_FINISHED && sweep->cells[i].has_changed_files)
      add_name(&names, count++, "", sweep->cells[i].cell->label, NAN);
  close_names(&names, count);
  if (count)
    log_warning("files that %zu of %zu cells were trained on have changed since; their results are "
                "for the old data: %s",
                count, sweep->count, strbuf_string(&names));
  strbuf_free(&names);
  return count > 0;
}

static err say_differences(store *s, const run_sweep *sweep, const char *again) {
  err error = NULL;
  size_t count = 0;
  bool was_said = say_changed_files(sweep);
  int64_t *runs = mem_zeroed(sweep->count + 1, sizeof *runs);
  size_t *cells = mem_zeroed(sweep->count + 1, sizeof *cells);
  size_t *groups = mem_zeroed(sweep->count + 1, sizeof *groups);
  if (!runs || !cells || !groups) FAIL(ERR_MEMORY, "out of memory: the sweep");
  for (size_t i = 0; i < sweep->count; i++)
    if (sweep->cells[i].state == CELL_FINISHED && sweep->cells[i].run_id) {
      cells[count] = i;
      runs[count++] = sweep->cells[i].run_id;
    }
  for (input_kind k = 0; k < INPUT_KINDS; k++)
    if (store_input_decides(k))
      TRY(say_difference(s, sweep, k, runs, cells, count, groups, &was_said));
  if (was_said)
    log_line(LOG_INFO, "to train them again with the current data: %s --retry data", again);
cleanup:
  free(runs);
  free(cells);
  free(groups);
  return error;
}

err cli_say_doubts(store *s, run_sweep *sweep, const char *again) {
  err error = say_disturbed(s, sweep, again);
  return error ? error : say_differences(s, sweep, again);
}
