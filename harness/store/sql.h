/* A thin layer over SQLite: errors as values, cached prepared statements, arguments described by a
 * type string. Internal to store/ (tests/store/only_the_store_speaks_sql.sh).
 *
 *   sqlite3_stmt *rows;
 *   TRY(sql_query(s, &rows, "SELECT step, loss FROM step WHERE run_id = ?", "i", run_id));
 *   for (bool more; !(error = sql_next(s, rows, &more)) && more;) use(sql_real(rows, 1));
 *
 * SQL texts must be string constants: cached statements are found by address. */
#ifndef FLIPBENCH_STORE_SQL_H
#define FLIPBENCH_STORE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>

#include "store/store.h"

/* Types: i int64_t, d double (NaN is NULL), t const char * (NULL is NULL), b const void * and
 * size_t. */
err sql_run(store *s, const char *sql, const char *types, ...) ERR_MUST_CHECK;
/* Cannot be written: a read-only file, folder or file system. */
bool store_is_readonly(store *s);

err sql_query(store *s, sqlite3_stmt **rows, const char *sql, const char *types,
              ...) ERR_MUST_CHECK;
/* The next row; at the end the statement is reset. */
err sql_next(store *s, sqlite3_stmt *rows, bool *has_row) ERR_MUST_CHECK;
/* Abandons a query before its end. */
void sql_stop(sqlite3_stmt *rows);
/* One integer, or `otherwise` when there is no row. */
err sql_integer(store *s, int64_t otherwise, int64_t *value, const char *sql, const char *types,
                ...) ERR_MUST_CHECK;
/* One number; NaN when there is no row, or NULL in it. */
err sql_number(store *s, double *value, const char *sql, const char *types, ...) ERR_MUST_CHECK;
/* A statement prepared from text that is not a constant; the caller frees it with
 * sqlite3_finalize. */
err sql_query_once(store *s, sqlite3_stmt **rows, const char *sql) ERR_MUST_CHECK;
int64_t sql_last_id(const store *s);
const char *sql_text(sqlite3_stmt *rows, int column); /* "" for NULL */
double sql_real(sqlite3_stmt *rows, int column);      /* NaN for NULL */

err sql_script(store *s, const char *sql) ERR_MUST_CHECK;
/* Within another transaction it becomes part of that one. */
err sql_begin(store *s) ERR_MUST_CHECK;
/* The same, but gives up at once when another process is writing: *is_busy, and nothing has begun.
 */
err sql_begin_soon(store *s, bool *is_busy) ERR_MUST_CHECK;
/* Commits when `error` is NULL, else rolls back; returns the first error. Within another
 * transaction that one's end does so: give the error on to it. */
err sql_end(store *s, err error) ERR_MUST_CHECK;

/* The schema's migrations: brings the database from its user_version to STORE_VERSION.
 * *is_behind: the run folders hold more than the migrated rows: read them, then call
 * schema_note_folders_read. Until then the database says so to whoever opens it. */
err schema_upgrade(store *s, bool *is_behind) ERR_MUST_CHECK;
err schema_note_folders_read(store *s) ERR_MUST_CHECK;

#endif
