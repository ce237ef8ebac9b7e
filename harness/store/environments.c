#include "store/environments.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/inputs.h"
#include "store/rows.h"

static const size_t texts_of[] = {
    offsetof(store_environment, commit),       offsetof(store_environment, dirty),
    offsetof(store_environment, compiler),     offsetof(store_environment, flags),
    offsetof(store_environment, host),         offsetof(store_environment, os),
    offsetof(store_environment, cpu),          offsetof(store_environment, device),
    offsetof(store_environment, device_name),  offsetof(store_environment, driver),
    offsetof(store_environment, precision),    offsetof(store_environment, libraries),
    offsetof(store_environment, library_list), offsetof(store_environment, program_version),
    offsetof(store_environment, kernels),      offsetof(store_environment, programs)};
static const rows_texts texts = ROWS_TEXTS(texts_of);

#define ENVIRONMENT_COLUMNS                                                                        \
  "SELECT commit_id, dirty, compiler, flags, host, os, cpu, device, device_name, driver,"          \
  " precision, libraries, (SELECT group_concat(key || ' ' || value, ', ') FROM"                    \
  " json_each(libraries)), program_version, CASE device WHEN 'cpu' THEN"                           \
  "  coalesce(json_extract(libraries, '$.cpu_kernels'), '') ELSE '' END, '', threads FROM "        \
  "environment"

static err take_environment(sqlite3_stmt *row, void *item) {
  store_environment *e = item;
  e->is_known = true;
  e->threads = sqlite3_column_int64(row, 16);
  return rows_copy_texts(row, 0, &texts, e);
}

static void drop_environment(void *item) {
  rows_free_texts(&texts, item);
}

static const rows_kind kind = {sizeof(store_environment), take_environment, drop_environment,
                               "where a run ran"};

void store_free_environment(store_environment *e) {
  drop_environment(e);
  *e = (store_environment){0};
}

/* The environment is the newest process's: a run that went on with another program has several. */
static err take_programs(store *s, int64_t run_id, store_environment *e) {
  store_inputs given;
  err error = store_load_inputs(s, run_id, &given);
  if (error) return error;
  if (strstr(given.got[INPUT_PROGRAM], ", then ")) {
    free(e->programs);
    e->programs = mem_copy_string(given.got[INPUT_PROGRAM]);
    if (!e->programs) error = mem_error(0, "where a run ran");
  }
  store_free_inputs(&given);
  return error;
}

err store_load_environment(store *s, int64_t run_id, store_environment *e) {
  sqlite3_stmt *rows;
  bool has_row;
  *e = (store_environment){0};
  err error = sql_query(s, &rows,
                        ENVIRONMENT_COLUMNS " WHERE id = (SELECT environment_id FROM run"
                                            " WHERE run.id = ?)",
                        "i", run_id);
  if (!error) error = rows_first(s, rows, &kind, e, &has_row);
  if (!error) error = has_row ? take_programs(s, run_id, e) : rows_empty_texts(&texts, e);
  if (error) store_free_environment(e);
  return error;
}

err store_list_environments(store *s, const char *experiment, store_environment **all,
                            size_t *count) {
  sqlite3_stmt *rows;
  void *items = NULL;
  *all = NULL;
  *count = 0;
  err error = sql_query(s, &rows,
                        ENVIRONMENT_COLUMNS
                        " WHERE id IN (SELECT environment_id FROM v_cell_latest JOIN run"
                        "  ON run.id = run_id WHERE experiment = ?) ORDER BY id",
                        "t", experiment);
  if (!error) error = rows_collect(s, rows, &kind, &items, count);
  *all = items;
  return error;
}

void store_free_environments(store_environment *all, size_t count) {
  rows_free(&kind, all, count);
}
