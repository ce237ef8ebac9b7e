#include "store/experiments.h"

#include <stddef.h>

#include "store/rows.h"

err store_list_experiments(store *s, store_names *names) {
  sqlite3_stmt *rows;
  *names = (store_names){0};
  err error = sql_query(s, &rows, "SELECT name FROM experiment ORDER BY name", "");
  return error ? error : rows_collect_names(s, rows, names);
}

err store_has_experiment(store *s, const char *name, bool *is_there) {
  int64_t found;
  err error = sql_integer(s, 0, &found, "SELECT 1 FROM experiment WHERE name = ?", "t", name);
  *is_there = !error && found;
  return error;
}

/* ---- how one was run ---- */

static const size_t place_texts_of[] = {offsetof(store_experiment, path),
                                        offsetof(store_experiment, profile)};
static const rows_texts place_texts = ROWS_TEXTS(place_texts_of);

static err take_place(sqlite3_stmt *row, void *item) {
  ((store_experiment *)item)->is_known = true;
  return rows_copy_texts(row, 0, &place_texts, item);
}

void store_free_experiment(store_experiment *e) {
  rows_free_texts(&place_texts, e);
  store_free_names(&e->set);
  store_free_names(&e->set_cell);
  *e = (store_experiment){0};
}

static void drop_place(void *item) {
  store_free_experiment(item);
}

static const rows_kind place_kind = {sizeof(store_experiment), take_place, drop_place,
                                     "an experiment"};

err store_find_experiment(store *s, const char *name, store_experiment *e) {
  sqlite3_stmt *rows;
  bool is_known;
  err error = NULL;
  *e = (store_experiment){0};
  TRY(sql_query(s, &rows, "SELECT path, profile FROM experiment WHERE name = ?", "t", name));
  TRY(rows_first(s, rows, &place_kind, e, &is_known));
  if (!is_known) {
    error = rows_empty_texts(&place_texts, e);
    goto cleanup;
  }
  TRY(sql_query(s, &rows,
                "SELECT json_each.value FROM experiment, json_each(set_words)"
                " WHERE name = ? ORDER BY json_each.key",
                "t", name));
  TRY(rows_collect_names(s, rows, &e->set));
  TRY(sql_query(s, &rows,
                "SELECT json_each.value FROM experiment, json_each(set_cell_words)"
                " WHERE name = ? ORDER BY json_each.key",
                "t", name));
  TRY(rows_collect_names(s, rows, &e->set_cell));
cleanup:
  if (error) store_free_experiment(e);
  return error;
}

/* ---- cells ---- */

static const size_t cell_texts_of[] = {
    offsetof(store_cell, experiment),    offsetof(store_cell, label),
    offsetof(store_cell, cell_id),       offsetof(store_cell, status),
    offsetof(store_cell, message),       offsetof(store_cell, ended),
    offsetof(store_cell, zero_shot_set), offsetof(store_cell, retrieval_set)};
static const rows_texts cell_texts = ROWS_TEXTS(cell_texts_of);

static err take_cell(sqlite3_stmt *row, void *item) {
  store_cell *cell = item;
  cell->run_id = sqlite3_column_int64(row, 8);
  cell->samples_per_second = sql_real(row, 9);
  cell->train_seconds = sql_real(row, 10);
  cell->peak_bytes = sql_real(row, 11);
  cell->final_loss = sql_real(row, 12);
  cell->zero_shot = sql_real(row, 13);
  cell->image_to_text = sql_real(row, 14);
  cell->is_disturbed = sql_real(row, 15) > 0;
  cell->lost_share = sql_real(row, 16);
  cell->has_lost_events = sqlite3_column_int(row, 17) != 0;
  return rows_copy_texts(row, 0, &cell_texts, cell);
}

static void drop_cell(void *item) {
  rows_free_texts(&cell_texts, item);
}

static const rows_kind cell_kind = {sizeof(store_cell), take_cell, drop_cell, "the cells"};

#define CELL_COLUMNS                                                                               \
  "SELECT experiment, label, cell_id, status, message, ended,"                                     \
  " coalesce(zero_shot_set, ''), coalesce(retrieval_set, ''), run_id, samples_per_second,"         \
  " train_seconds, peak_bytes, final_loss, zero_shot_mean_per_class, retrieval_i2t_r1,"            \
  " disturbed, lost_share, EXISTS (SELECT 1 FROM warning WHERE status = 'finished'"                \
  "  AND warning.run_id = v_cell_summary.run_id AND kind IN ('no_end', 'no_evaluation'))"          \
  " FROM v_cell_summary"

err store_list_cells(store *s, const char *experiment, store_cell **cells, size_t *count) {
  sqlite3_stmt *rows;
  void *items = NULL;
  *cells = NULL;
  *count = 0;
  err error =
      experiment
          ? sql_query(s, &rows, CELL_COLUMNS " WHERE experiment = ? ORDER BY position", "t",
                      experiment)
          : sql_query(s, &rows, CELL_COLUMNS " ORDER BY ended DESC, experiment, position", "");
  if (!error) error = rows_collect(s, rows, &cell_kind, &items, count);
  *cells = items;
  return error;
}

void store_free_cells(store_cell *cells, size_t count) {
  rows_free(&cell_kind, cells, count);
}

/* ---- summaries ---- */

static const size_t overview_texts_of[] = {
    offsetof(store_overview, name), offsetof(store_overview, title),
    offsetof(store_overview, source), offsetof(store_overview, last),
    offsetof(store_overview, commits)};
static const rows_texts overview_texts = ROWS_TEXTS(overview_texts_of);

static err take_overview(sqlite3_stmt *row, void *item) {
  store_overview *overview = item;
  overview->cells = sqlite3_column_int64(row, 5);
  overview->finished = sqlite3_column_int64(row, 6);
  overview->failed = sqlite3_column_int64(row, 7);
  overview->wall_seconds = sql_real(row, 8);
  return rows_copy_texts(row, 0, &overview_texts, overview);
}

static void drop_overview(void *item) {
  rows_free_texts(&overview_texts, item);
}

static const rows_kind overview_kind = {sizeof(store_overview), take_overview, drop_overview,
                                        "the experiments"};

err store_list_overviews(store *s, store_overview **overviews, size_t *count) {
  sqlite3_stmt *rows;
  void *items = NULL;
  *overviews = NULL;
  *count = 0;
  err error = sql_query(
      s, &rows,
      "SELECT experiment.name, title, source, max(coalesce(latest.ended, latest.started)),"
      " (SELECT group_concat(DISTINCT substr(commit_id, 1, 10)) FROM v_provenance"
      "  WHERE v_provenance.experiment = name), count(*), sum(latest.status = 'finished'),"
      " sum(latest.status = 'failed'),"
      " (SELECT wall_seconds FROM v_cost WHERE v_cost.experiment = name)"
      " FROM experiment JOIN v_cell_latest AS latest ON latest.experiment = experiment.name"
      " GROUP BY experiment.name ORDER BY 4 DESC",
      "");
  if (!error) error = rows_collect(s, rows, &overview_kind, &items, count);
  *overviews = items;
  return error;
}

void store_free_overviews(store_overview *overviews, size_t count) {
  rows_free(&overview_kind, overviews, count);
}
