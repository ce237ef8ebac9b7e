/* A table of the database as a typed Parquet file. */
#ifndef FLIPBENCH_STORE_EXPORT_PARQUET_H
#define FLIPBENCH_STORE_EXPORT_PARQUET_H

#include "store/sql.h"

/* Writes all rows of a statement that has not been stepped yet to `fd`; adds their number to
 * *count. A column is int64, double, bytes or string according to its values, or to its declaration
 * if it contains only NULL; a column that mixes strings with other types is a string, written as in
 * CSV. */
err export_parquet_rows(store *s, sqlite3_stmt *rows, int fd, const char *path,
                        int64_t *count) ERR_MUST_CHECK;

#endif
