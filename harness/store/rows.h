/* Rows of a query as an array of structs. Internal to store/.
 *
 *   static err take_warning(sqlite3_stmt *row, void *item) { … }
 *   TRY(sql_query(s, &rows, "SELECT kind, message FROM warning WHERE run_id = ?", "i", run_id));
 *   TRY(rows_collect(s, rows, &warning_kind, items, count)); */
#ifndef FLIPBENCH_STORE_ROWS_H
#define FLIPBENCH_STORE_ROWS_H

#include "store/sql.h"

/* The strings of a struct: offsets of its char * members. One list serves reading and freeing. */
typedef struct {
  const size_t *offsets;
  size_t count;
} rows_texts;
#define ROWS_TEXTS(list)                                                                           \
  { (list), sizeof(list) / sizeof *(list) }

/* Copies the columns from `first` on into the members, in order; "" for NULL. */
err rows_copy_texts(sqlite3_stmt *row, int first, const rows_texts *texts,
                    void *item) ERR_MUST_CHECK;
/* Sets them to "", for a struct without a row. */
err rows_empty_texts(const rows_texts *texts, void *item) ERR_MUST_CHECK;
void rows_free_texts(const rows_texts *texts, void *item);

/* How a row is converted. `take` gets a zeroed item; `drop` frees what it filled before a
 * failure. */
typedef struct {
  size_t bytes;
  err (*take)(sqlite3_stmt *row, void *item);
  void (*drop)(void *item); /* NULL: the item owns nothing */
  const char *what;         /* for the out-of-memory error: "a run's steps" */
} rows_kind;

/* All rows of a query. On failure *items is NULL, *count 0, and the query is abandoned. Free with
 * rows_free. */
err rows_collect(store *s, sqlite3_stmt *rows, const rows_kind *kind, void **items,
                 size_t *count) ERR_MUST_CHECK;
void rows_free(const rows_kind *kind, void *items, size_t count);

/* The first column of each row. */
err rows_collect_names(store *s, sqlite3_stmt *rows, store_names *names) ERR_MUST_CHECK;

/* The first row, by kind->take; *has_row false, and the item unchanged, when there is none. */
err rows_first(store *s, sqlite3_stmt *rows, const rows_kind *kind, void *item,
               bool *has_row) ERR_MUST_CHECK;

#endif
