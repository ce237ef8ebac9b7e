#include "report/curve_export.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "report/results.h"
#include "report/tensorboard.h"
#include "store/csv.h"
#include "store/curves.h"
#include "store/facts.h"

/* A column of the steps and its tag in the exported files. */
static const struct {
  const char *tag;
  size_t offset; /* of a double in store_step */
} step_tags[] = {{"train/loss", offsetof(store_step, loss)},
                 {"train/learning_rate", offsetof(store_step, learning_rate)},
                 {"train/logit_scale", offsetof(store_step, logit_scale)},
                 {"train/grad_norm", offsetof(store_step, grad_norm)},
                 {"train/reconstruction_loss", offsetof(store_step, reconstruction_loss)},
                 {"train/train_seconds", offsetof(store_step, seconds)}};

/* One run being exported. */
typedef struct {
  const spec_experiment *e;
  const spec_cell *cell;
  const store_run *run;
  const curves_options *options;
  const char *name;         /* the run's folder */
  double started;           /* seconds since 1970 */
  strbuf *metrics, *params; /* CSV */
  tensorboard_events events;
  int64_t numbers;
} curve;

/* ---- numbers ---- */

/* A number's position on a curve. */
typedef struct {
  int64_t step, samples;
  double seconds; /* of training; NaN: not recorded */
} curve_place;

/* Wall time is the run's start plus its training time, so that TensorBoard's relative axis shows
 * training time without pauses. */
static void take_number(curve *c, const curve_place *at, const char *tag, double value) {
  double wall = c->started + (isnan(at->seconds) ? 0 : at->seconds);
  int64_t place = c->options->counts_samples ? at->samples : at->step;
  c->numbers++;
  if (c->options->format == CURVES_TENSORBOARD) {
    tensorboard_scalar(&c->events, tag, place, wall, value);
    return;
  }
  csv_field(c->e->name, true, c->metrics);
  csv_field(c->name, false, c->metrics);
  csv_field(c->cell->label, false, c->metrics);
  strbuf_format(c->metrics, ",%lld,%lld", (long long)place, (long long)at->samples);
  csv_number(at->seconds, false, c->metrics);
  strbuf_format(c->metrics, ",%lld", llround(1000 * wall));
  csv_field(tag, false, c->metrics);
  csv_number(value, false, c->metrics);
  strbuf_append(c->metrics, "\r\n");
}

static void take_step(curve *c, const store_step *step) {
  curve_place at = {step->step, step->samples, step->seconds};
  for (size_t i = 0; i < sizeof step_tags / sizeof *step_tags; i++) {
    double value;
    memcpy(&value, (const char *)step + step_tags[i].offset, sizeof value);
    /* a null loss was not finite; other columns may not have been recorded */
    if (!isnan(value) || i == 0) take_number(c, &at, step_tags[i].tag, value);
  }
}

static err take_steps(curve *c, store *s) {
  store_step *steps;
  size_t count;
  err error = store_list_steps(s, c->run->run_id, &steps, &count);
  for (size_t i = 0; i < count; i++) take_step(c, &steps[i]);
  free(steps);
  return error;
}

/* By step, then by position of set, task and metric. */
static int compare_evaluations(const void *a, const void *b) {
  const store_evaluation *x = a, *y = b;
  if (x->step != y->step) return x->step < y->step ? -1 : 1;
  if (x->ordinal != y->ordinal) return x->ordinal < y->ordinal ? -1 : 1;
  int order = strcmp(x->task, y->task);
  return order ? order : strcmp(x->metric, y->metric);
}

static err take_evaluations(curve *c, store *s) {
  store_evaluation *all;
  size_t count;
  strbuf tag = {0};
  err error = store_list_evaluations(s, c->run->run_id, &all, &count);
  if (count) qsort(all, count, sizeof *all, compare_evaluations);
  for (size_t i = 0; i < count; i++) {
    const store_evaluation *e = &all[i];
    curve_place at = {e->step, (int64_t)e->samples, e->seconds};
    strbuf_clear(&tag);
    strbuf_format(&tag, "eval/%s/%s_%s", e->set, e->task, e->metric);
    take_number(c, &at, strbuf_string(&tag), e->value);
  }
  store_free_evaluations(all, count);
  strbuf_free(&tag);
  return error;
}

/* ---- run parameters ---- */

static void take_param(curve *c, const char *key, const char *value) {
  csv_field(c->e->name, true, c->params);
  csv_field(c->name, false, c->params);
  csv_field(key, false, c->params);
  csv_field(value, false, c->params);
  strbuf_append(c->params, "\r\n");
}

static err take_params(curve *c, store *s) {
  size_t count;
  strbuf value = {0};
  const setting *rows = settings_table(&count);
  take_param(c, "label", c->cell->label);
  take_param(c, "cell", c->cell->id);
  take_param(c, "status", c->run->status);
  take_param(c, "started", c->run->started);
  if (c->cell->tuning) take_param(c, "tuning", c->cell->tuning);
  err error = NULL;
  for (size_t i = 0; i < count && !error; i++) {
    char *own = NULL; /* what runs of one cell may have differently */
    if (!rows[i].is_identity) error = store_find_setting(s, c->run->run_id, rows[i].key, &own);
    strbuf_clear(&value);
    if (rows[i].type == SETTING_TEXT) /* as it is, not as YAML writes it */
      strbuf_append(&value, *(char *const *)((const char *)&c->cell->settings + rows[i].offset));
    else
      setting_format(&rows[i], &c->cell->settings, &value);
    take_param(c, rows[i].key, own ? own : strbuf_string(&value));
    free(own);
  }
  if (!error && value.is_broken) error = mem_error(0, "settings");
  strbuf_free(&value);
  return error;
}

/* ---- files ---- */

static bool is_ours(const char *name) {
  const char *end = strrchr(name, '.');
  return strncmp(name, "events.out.tfevents.", 20) == 0 && strcmp(end, ".flipbench") == 0;
}

/* Left by an earlier run of the cell: readers would draw both. *others: files that are not ours. */
static void remove_older(const char *folder, size_t *others) {
  char **names = NULL;
  size_t count = 0;
  *others = 0;
  err_free(fs_list(folder, &names, &count));
  for (size_t i = 0; i < count; i++) {
    char *path = fs_join(folder, names[i]);
    if (path && is_ours(names[i]))
      unlink(path);
    else
      ++*others;
    free(path);
  }
  fs_free_names(names, count);
}

/* A run's folder is named by its cell, LABEL-ID8, with an ending once the run was renamed. */
static bool is_of_cell(const spec_experiment *e, const char *name) {
  for (size_t i = 0; i < e->cell_count; i++) {
    char digits[16];
    size_t length = (size_t)snprintf(digits, sizeof digits, "-%.8s", e->cells[i].id);
    const char *at = strstr(name, digits);
    if (at && (!at[length] || at[length] == '.')) return true;
  }
  return false;
}

/* Curves of runs that have been archived, removed or replaced since they were exported. Another
 * experiment may have been exported to the same folder: its runs are left, and so is any folder
 * with files of others. */
static err remove_gone(const spec_experiment *e, const char *folder, const spec_names *exported) {
  char **names = NULL;
  size_t count = 0, others;
  err error = fs_list(folder, &names, &count);
  for (size_t i = 0; i < count && !error; i++) {
    if (spec_names_has(exported, names[i]) || !is_of_cell(e, names[i])) continue;
    char *path = fs_join(folder, names[i]);
    if (!path) error = mem_error(0, "a path");
    if (path && fs_is_folder(path)) {
      remove_older(path, &others);
      if (!others) rmdir(path);
    }
    free(path);
  }
  fs_free_names(names, count);
  return error;
}

static err write_events(const curve *c) {
  strbuf folder = {0}, path = {0};
  size_t others;
  strbuf_format(&folder, "%s/%s", c->options->folder, c->name);
  strbuf_format(&path, "%s/events.out.tfevents.%lld.flipbench", strbuf_string(&folder),
                (long long)c->started);
  err error = c->events.is_broken || path.is_broken ? mem_error(c->events.length, "an event file")
                                                    : fs_make_folders(strbuf_string(&folder));
  if (!error) remove_older(strbuf_string(&folder), &others);
  if (!error) error = fs_write_atomic(strbuf_string(&path), c->events.data, c->events.length);
  strbuf_free(&folder);
  strbuf_free(&path);
  return error;
}

static err export_cell(curve *c, store *s) {
  err error = NULL;
  c->name = fs_name(c->run->directory);
  if (c->run->started_seconds > 0) c->started = c->run->started_seconds;
  bool is_tensorboard = c->options->format == CURVES_TENSORBOARD;
  if (is_tensorboard) tensorboard_begin(&c->events, c->started);
  TRY(take_steps(c, s));
  TRY(take_evaluations(c, s));
  TRY(is_tensorboard ? write_events(c) : take_params(c, s));
cleanup:
  strbuf_free(&c->events);
  return error;
}

static err write_csv(const char *folder, const char *name, const strbuf *text) {
  char *path = fs_join(folder, name);
  err error = path && !text->is_broken ? fs_write_atomic(path, text->data, text->length)
                                       : mem_error(text->length, name);
  free(path);
  return error;
}

/* The runs shown in the table, one per cell; `exported` gets the names of their folders. */
static err export_runs(const spec_experiment *e, store *s, curve *like, spec_names *exported,
                       curves_count *count) {
  store_result *results = NULL;
  err error = results_find(e, s, &results);
  for (size_t i = 0; i < e->cell_count && !error; i++) {
    store_run run;
    error = store_load_result(s, &results[i], &run);
    if (error) break;
    curve c = *like;
    c.cell = &e->cells[i];
    c.run = &run;
    if (run.run_id) {
      error = export_cell(&c, s);
      if (!error) error = spec_names_add(exported, c.name);
      count->runs++;
      count->numbers += c.numbers;
    }
    store_free_run(&run);
  }
  free(results);
  return error;
}

err curves_export(const spec_experiment *e, store *s, const curves_options *options,
                  curves_count *count) {
  strbuf metrics = {0}, params = {0};
  spec_names exported = {0};
  curve like = {.e = e, .options = options, .metrics = &metrics, .params = &params};
  bool is_csv = options->format == CURVES_CSV;
  *count = (curves_count){0};
  err error = fs_make_folders(options->folder);
  strbuf_append(&metrics,
                "experiment,run,label,step,samples,train_seconds,timestamp_ms,metric,value\r\n");
  strbuf_append(&params, "experiment,run,key,value\r\n");
  if (!error) error = export_runs(e, s, &like, &exported, count);
  if (!error && !is_csv) error = remove_gone(e, options->folder, &exported);
  if (!error && is_csv) error = write_csv(options->folder, "metrics.csv", &metrics);
  if (!error && is_csv) error = write_csv(options->folder, "params.csv", &params);
  spec_names_free(&exported);
  strbuf_free(&metrics);
  strbuf_free(&params);
  return error;
}
