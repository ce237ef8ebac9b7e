#include "store/results_folder.h"

#include <stdlib.h>

#include "base/mem.h"
#include "store/sql.h"

void store_free_results_folder(store_results_folder *folder) {
  free(folder->id);
  free(folder->path);
  *folder = (store_results_folder){0};
}

err store_load_results_folder(store *s, store_results_folder *folder) {
  sqlite3_stmt *rows;
  bool has_row;
  *folder = (store_results_folder){0};
  err error = sql_query(s, &rows, "SELECT id, path FROM results_folder", "");
  if (!error) error = sql_next(s, rows, &has_row);
  if (error) return error;
  folder->id = mem_copy_string(has_row ? sql_text(rows, 0) : "");
  folder->path = mem_copy_string(has_row ? sql_text(rows, 1) : "");
  if (has_row) sql_stop(rows);
  if (folder->id && folder->path) return NULL;
  store_free_results_folder(folder);
  return mem_error(0, "a path");
}

err store_put_results_folder(store *s, const char *id, const char *path) {
  err error = sql_begin(s);
  if (error) return error;
  error = sql_run(s, "DELETE FROM results_folder", "");
  if (!error)
    error = sql_run(s, "INSERT INTO results_folder (id, path) VALUES (?, ?)", "tt", id, path);
  return sql_end(s, error);
}
