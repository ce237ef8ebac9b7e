/* The cells of an experiment and their state. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "report/results.h"
#include "store/experiments.h"
#include "store/facts.h"

void cli_free_cells(cli_cells *cells) {
  for (size_t i = 0; i < cells->count; i++) {
    const cli_cell *c = &cells->items[i];
    char *texts[] = {c->label, c->status, c->cell, c->kind, c->message, c->directory};
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) free(texts[k]);
  }
  free(cells->items);
  free(cells->recipes);
  free(cells->trouble);
  free(cells->unread);
  *cells = (cli_cells){0};
}

static err set_text(char **text, const char *value) {
  free(*text);
  *text = mem_copy_string(value);
  return *text ? NULL : mem_error(0, "a cell");
}

/* One of several texts that may be missing. */
static const char *or_empty(const char *text) {
  return text ? text : "";
}

static err fill_texts(cli_cell *c, const store_run *run) {
  bool was_run = run->run_id != 0;
  err error = NULL;
  TRY(set_text(&c->status, was_run ? run->status : "not run"));
  TRY(set_text(&c->kind, or_empty(run->kind)));
  TRY(set_text(&c->message, or_empty(run->message)));
  TRY(set_text(&c->directory, or_empty(run->directory)));
  c->run_id = run->run_id;
cleanup:
  return error;
}

/* "running" in the database is only the last recorded state: the process may be gone. */
static err look_at_running(store *s, const char *results, const char *cell_id, cli_cell *c) {
  store_run run;
  bool is_alive, is_elsewhere;
  err error = run_look(s, results, c->directory, &is_alive, &is_elsewhere);
  if (error || is_alive)
    return error || !is_elsewhere ? error
                                  : set_text(&c->message, "recorded as running on another machine");
  error = store_find_run(s, cell_id, &run);
  if (!error) error = fill_texts(c, &run);
  store_free_run(&run);
  if (error || strcmp(c->status, "running") != 0) return error;
  error = set_text(&c->status, "interrupted");
  return error ? error
               : set_text(&c->message,
                          "its process is gone; 'flipbench run' resumes from its checkpoint");
}

static err fill_progress(store *s, cli_cell *c) {
  store_progress p;
  double lost;
  c->samples = c->total_samples = c->train_seconds = c->lost_share = NAN;
  if (!c->run_id) return NULL;
  err error = store_find_progress(s, c->run_id, NULL, NULL, &p);
  if (error) return error;
  c->samples = p.samples;
  c->total_samples = p.total_samples;
  c->train_seconds = p.train_seconds;
  error = store_find_lost_share(s, c->run_id, &lost);
  c->is_disturbed = !error && !isnan(lost);
  return error ? error : store_find_number(s, c->run_id, "lost_share", &c->lost_share);
}

/* `result`: of the cell, where those of all cells are known; NULL: its newest run. */
static err fill_cell(store *s, const char *results, const char *id, const char *label,
                     const store_result *result, cli_cell *c) {
  store_run run = {0};
  err error = NULL;
  TRY(set_text(&c->cell, id));
  TRY(set_text(&c->label, label));
  TRY(result ? store_load_result(s, result, &run) : store_find_run(s, id, &run));
  TRY(fill_texts(c, &run));
  if (strcmp(c->status, "running") == 0) TRY(look_at_running(s, results, id, c));
  TRY(fill_progress(s, c));
cleanup:
  store_free_run(&run);
  return error;
}

static err add_cell(store *s, const char *results, const char *id, const char *label,
                    const store_result *result, cli_cells *cells) {
  cli_cell *c = &cells->items[cells->count++];
  err error = fill_cell(s, results, id, label, result, c);
  if (error) return error;
  if (strcmp(c->status, "finished") == 0) cells->finished++;
  if (strcmp(c->status, "running") == 0) cells->running++;
  if (strcmp(c->status, "failed") == 0) cells->failed++;
  if (c->is_disturbed) cells->disturbed++;
  return NULL;
}

static err make_room(cli_cells *cells, size_t count) {
  cells->items = mem_zeroed(count + 1, sizeof *cells->items);
  return cells->items ? NULL : mem_error(count * sizeof *cells->items, "the cells");
}

/* ---- of the file ---- */

/* Of all that the experiment has trained, whichever edition of its file asked for it. */
static err count_strangers(store *s, const spec_experiment *e, size_t *strangers) {
  store_run_line *runs;
  size_t count;
  err error = store_list_runs(s, &(store_run_filter){.experiment = e->name}, &runs, &count);
  for (size_t i = 0; i < count; i++)
    *strangers += !runs[i].is_archived && !spec_find_cell(e, runs[i].cell_id);
  store_free_run_lines(runs, count);
  return error;
}

/* Parents come before the cells that start from them. */
static err count_stuck(const spec_experiment *e, cli_cells *cells) {
  bool *is_stuck = mem_zeroed(e->cell_count + 1, sizeof *is_stuck);
  if (!is_stuck) return mem_error(e->cell_count, "the cells");
  for (size_t i = 0; i < e->cell_count; i++) {
    ptrdiff_t parent = e->cells[i].parent;
    is_stuck[i] = parent != SPEC_NO_PARENT && strcmp(cells->items[i].status, "not run") == 0 &&
                  (is_stuck[parent] || strcmp(cells->items[parent].status, "failed") == 0);
    cells->stuck += is_stuck[i];
  }
  free(is_stuck);
  return NULL;
}

static err list_of_file(store *s, const char *results, const spec_experiment *e, cli_cells *cells) {
  store_result *runs = NULL;
  err error = make_room(cells, e->cell_count);
  if (!error) error = cli_read_tasks(results, e, s, &cells->unread);
  if (!error) error = results_find(e, s, &runs);
  for (size_t i = 0; i < e->cell_count && !error; i++)
    error = add_cell(s, results, e->cells[i].id, e->cells[i].label, &runs[i], cells);
  free(runs);
  if (!error) error = count_stuck(e, cells);
  if (!error) error = count_strangers(s, e, &cells->strangers);
  if (error || !cells->strangers) return error;
  return cli_describe_recipes(s, e, &cells->of_other_recipe, &cells->recipes);
}

/* ---- of the record ---- */

static err list_of_record(store *s, const char *results, const char *name, cli_cells *cells) {
  store_cell *recorded;
  size_t count;
  err error = store_list_cells(s, name, &recorded, &count);
  if (!error) error = make_room(cells, count);
  for (size_t i = 0; i < count && !error; i++)
    error = add_cell(s, results, recorded[i].cell_id, recorded[i].label, NULL, cells);
  store_free_cells(recorded, count);
  return error;
}

err cli_list_cells(store *s, const char *results, const char *name, cli_cells *cells) {
  bool is_known;
  spec_experiment *e = NULL;
  *cells = (cli_cells){0};
  err error = store_has_experiment(s, name, &is_known);
  if (error) return error;
  if (!is_known)
    return err_new(ERR_INPUT, "unknown experiment '%s' ('flipbench status' lists them)", name);
  err unread = cli_load_experiment(s, results, name, &(spec_options){0}, &e);
  if (!unread) {
    error = list_of_file(s, results, e, cells);
  } else {
    error = set_text(&cells->trouble, err_message(unread));
    if (!error) error = list_of_record(s, results, name, cells);
  }
  err_free(unread);
  spec_free(e);
  if (error) cli_free_cells(cells);
  return error;
}
