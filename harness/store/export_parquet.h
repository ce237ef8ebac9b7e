/* A table of the record as a Parquet file, typed. */
#ifndef FLIPBENCH_STORE_EXPORT_PARQUET_H
#define FLIPBENCH_STORE_EXPORT_PARQUET_H

#include "store/sql.h"

/* All rows of a statement that was not stepped yet, into `fd`; adds their number to *count. A
 * column is int64, double, bytes or string by what it holds, by its declaration where it holds
 * nothing but NULL; one that mixes texts with others is a string, written as in CSV. */
err export_parquet_rows(store *s, sqlite3_stmt *rows, int fd, const char *path,
                        int64_t *count) ERR_MUST_CHECK;

#endif
