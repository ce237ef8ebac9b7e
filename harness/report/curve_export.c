#include "report/curve_export.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "report/tensorboard.h"
#include "store/csv.h"
#include "store/sql.h"

/* A column of `step` and the tag that it has elsewhere. */
static const struct {
  const char *tag;
  int column; /* in step_sql */
} step_tags[] = {{"train/loss", 3},
                 {"train/learning_rate", 4},
                 {"train/logit_scale", 5},
                 {"train/grad_norm", 6},
                 {"train/train_seconds", 2}};
static const char step_sql[] =
    "SELECT step, samples, train_seconds, loss, learning_rate, logit_scale, grad_norm FROM step"
    " WHERE run_id = ? ORDER BY step";
static const char eval_sql[] =
    "SELECT step, samples, train_seconds, set_name, task, metric, value FROM evaluation"
    " WHERE run_id = ? ORDER BY step, ordinal, task, metric";
/* julianday counts days from noon of 4714 BC */
static const char start_sql[] =
    "SELECT (julianday(started) - 2440587.5) * 86400 FROM run WHERE id = ?";

/* One run on its way out. */
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

/* Wall time is that of the run's start and the training since, so that TensorBoard's relative axis
 * is training time, without pauses. */
static void take_number(curve *c, sqlite3_stmt *row, const char *tag, double value) {
  int64_t step = sqlite3_column_int64(row, 0), samples = sqlite3_column_int64(row, 1);
  double seconds = sql_real(row, 2), wall = c->started + (isnan(seconds) ? 0 : seconds);
  int64_t place = c->options->counts_samples ? samples : step;
  c->numbers++;
  if (c->options->format == CURVES_TENSORBOARD) {
    tensorboard_scalar(&c->events, tag, place, wall, value);
    return;
  }
  csv_field(c->e->name, true, c->metrics);
  csv_field(c->name, false, c->metrics);
  csv_field(c->cell->label, false, c->metrics);
  strbuf_format(c->metrics, ",%lld,%lld", (long long)place, (long long)samples);
  csv_number(seconds, false, c->metrics);
  strbuf_format(c->metrics, ",%lld", llround(1000 * wall));
  csv_field(tag, false, c->metrics);
  csv_number(value, false, c->metrics);
  strbuf_append(c->metrics, "\r\n");
}

static err take_steps(curve *c, store *s) {
  sqlite3_stmt *rows;
  bool more;
  err error = sql_query(s, &rows, step_sql, "i", c->run->run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more)
    for (size_t i = 0; i < sizeof step_tags / sizeof *step_tags; i++) {
      /* a loss that is null was not a number; other columns may not have been recorded */
      double value = sql_real(rows, step_tags[i].column);
      if (!isnan(value) || i == 0) take_number(c, rows, step_tags[i].tag, value);
    }
  return error;
}

static err take_evaluations(curve *c, store *s) {
  sqlite3_stmt *rows;
  bool more;
  strbuf tag = {0};
  err error = sql_query(s, &rows, eval_sql, "i", c->run->run_id);
  while (!error && !(error = sql_next(s, rows, &more)) && more) {
    strbuf_clear(&tag);
    strbuf_format(&tag, "eval/%s/%s_%s", sql_text(rows, 3), sql_text(rows, 4), sql_text(rows, 5));
    take_number(c, rows, strbuf_string(&tag), sql_real(rows, 6));
  }
  strbuf_free(&tag);
  return error;
}

/* ---- what a run was ---- */

static void take_param(curve *c, const char *key, const char *value) {
  csv_field(c->e->name, true, c->params);
  csv_field(c->name, false, c->params);
  csv_field(key, false, c->params);
  csv_field(value, false, c->params);
  strbuf_append(c->params, "\r\n");
}

static err take_params(curve *c) {
  size_t count;
  strbuf value = {0};
  const setting *rows = settings_table(&count);
  take_param(c, "label", c->cell->label);
  take_param(c, "cell", c->cell->id);
  take_param(c, "status", c->run->status);
  take_param(c, "started", c->run->started);
  if (c->cell->tuning) take_param(c, "tuning", c->cell->tuning);
  for (size_t i = 0; i < count; i++) {
    strbuf_clear(&value);
    setting_format(&rows[i], &c->cell->settings, &value);
    take_param(c, rows[i].key, strbuf_string(&value));
  }
  bool is_broken = value.is_broken;
  strbuf_free(&value);
  return is_broken ? mem_error(0, "settings") : NULL;
}

/* ---- files ---- */

/* Of an earlier run of the cell: readers would draw both. */
static void remove_older(const char *folder) {
  char **names = NULL;
  size_t count = 0;
  err_free(fs_list(folder, &names, &count));
  for (size_t i = 0; i < count; i++) {
    const char *end = strrchr(names[i], '.');
    char *path = fs_join(folder, names[i]);
    bool is_ours =
        strncmp(names[i], "events.out.tfevents.", 20) == 0 && strcmp(end, ".flipbench") == 0;
    if (path && is_ours) unlink(path);
    free(path);
  }
  fs_free_names(names, count);
}

static err write_events(const curve *c) {
  strbuf folder = {0}, path = {0};
  strbuf_format(&folder, "%s/%s", c->options->folder, c->name);
  strbuf_format(&path, "%s/events.out.tfevents.%lld.flipbench", strbuf_string(&folder),
                (long long)c->started);
  err error = c->events.is_broken || path.is_broken ? mem_error(c->events.length, "an event file")
                                                    : fs_make_folders(strbuf_string(&folder));
  if (!error) remove_older(strbuf_string(&folder));
  if (!error) error = fs_write_atomic(strbuf_string(&path), c->events.data, c->events.length);
  strbuf_free(&folder);
  strbuf_free(&path);
  return error;
}

static err read_start(store *s, int64_t run_id, double *started) {
  sqlite3_stmt *rows;
  bool has_row;
  *started = 0;
  err error = sql_query(s, &rows, start_sql, "i", run_id);
  if (!error) error = sql_next(s, rows, &has_row);
  if (error || !has_row) return error;
  double seconds = sql_real(rows, 0);
  if (seconds > 0) *started = seconds;
  sql_stop(rows);
  return NULL;
}

static err export_cell(curve *c, store *s) {
  err error = NULL;
  c->name = fs_name(c->run->directory);
  TRY(read_start(s, c->run->run_id, &c->started));
  bool is_tensorboard = c->options->format == CURVES_TENSORBOARD;
  if (is_tensorboard) tensorboard_begin(&c->events, c->started);
  TRY(take_steps(c, s));
  TRY(take_evaluations(c, s));
  TRY(is_tensorboard ? write_events(c) : take_params(c));
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

err curves_export(const spec_experiment *e, store *s, const curves_options *options,
                  curves_count *count) {
  strbuf metrics = {0}, params = {0};
  *count = (curves_count){0};
  err error = fs_make_folders(options->folder);
  strbuf_append(&metrics,
                "experiment,run,label,step,samples,train_seconds,timestamp_ms,metric,value\r\n");
  strbuf_append(&params, "experiment,run,key,value\r\n");
  for (size_t i = 0; i < e->cell_count && !error; i++) {
    store_run run;
    error = store_find_run(s, e->cells[i].id, &run);
    if (error) break;
    curve c = {e, &e->cells[i], &run, options, NULL, 0, &metrics, &params, {0}, 0};
    if (run.run_id) {
      error = export_cell(&c, s);
      count->runs++;
      count->numbers += c.numbers;
    }
    store_free_run(&run);
  }
  if (!error && options->format == CURVES_CSV)
    error = write_csv(options->folder, "metrics.csv", &metrics);
  if (!error && options->format == CURVES_CSV)
    error = write_csv(options->folder, "params.csv", &params);
  strbuf_free(&metrics);
  strbuf_free(&params);
  return error;
}
