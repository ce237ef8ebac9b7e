/* Exports every table and view of the database to files for other programs: CSV, JSON lines or
 * Parquet, one file per table, named after it. */
#ifndef FLIPBENCH_STORE_EXPORT_H
#define FLIPBENCH_STORE_EXPORT_H

#include "store/store.h"

typedef enum { EXPORT_CSV, EXPORT_JSON_LINES, EXPORT_PARQUET } export_format;

typedef struct {
  const char *folder; /* made when missing */
  export_format format;
  const char *experiment; /* only what belongs to it; NULL: all */
} export_options;

typedef struct {
  size_t files;
  int64_t rows;
} export_count;

/* NULL is an empty field in CSV, null in JSON and Parquet. Columns that hold JSON are objects and
 * lists in JSON lines. All is read in one transaction, so that the files agree with one another. */
err store_export(store *s, const export_options *options, export_count *count) ERR_MUST_CHECK;

#endif
