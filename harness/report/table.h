/* The comparison table of an experiment: its rows and columns as numbers, ready to be written in
 * any format (report/write.h), and the sentences that belong below it. */
#ifndef FLIPBENCH_REPORT_TABLE_H
#define FLIPBENCH_REPORT_TABLE_H

#include "spec/spec.h"
#include "stats/curve.h"
#include "store/store.h"

typedef struct {
  char *name, *heading, *unit; /* owned */
  const column *known;         /* NULL: the column shows a setting */
  int digits;
  bool has_reference, has_interval;
} report_column;

/* One number of the table: the mean over the row's cells (seeds). */
typedef struct {
  double value, half_width; /* in the column's unit; NaN: none. half_width: 95 % t-interval */
  double low, high;         /* interval that is not symmetric (bootstrap); NaN: none */
  double reference;         /* the published number; NaN: none */
  bool is_reference_verified, is_best;
  char *text;    /* of a setting's column; owned, else NULL */
  double *parts; /* one for each of the row's runs, NaN: none; owned, NULL for other columns */
  const char *missing; /* why there is no value, in words; NULL when there is one */
} report_value;

typedef struct {
  char **keys;            /* the row's own name, one text for each of the experiment's row keys */
  char **key_values;      /* one for each key, as written in the experiment: "0.5" */
  report_value *values;   /* one for each column */
  size_t cells, finished; /* seeds in the experiment, and with a result */
  int64_t *runs;          /* one for each cell, 0: not run; owned */
  char **labels;          /* of the cells; owned */
  char *missing;          /* why cells have no result; NULL when all have */
} report_row;

typedef struct {
  char *title, *name;
  char **key_headings, **key_names; /* "mask" and "mask_ratio" */
  size_t key_count;
  report_column *columns;
  size_t column_count;
  report_row *rows;
  size_t row_count;
  char *provenance; /* "commit 0123456 · Imaginary CPU · bf16 · 2 threads · …" */
  char *iso;        /* the iso-accuracy sentences, one a line; NULL when there is none to say */
  char *source;     /* of the published values; NULL: none are shown */
  bool has_unverified;
} report_table;

err report_build(const spec_experiment *e, store *s, report_table **table) ERR_MUST_CHECK;
void report_free(report_table *table);

/* "mask 50 %" for mask_ratio=0.5: a key and its value as people say them. */
void report_name_key(const char *key, strbuf *out);
void report_name_value(const char *key, const char *value, strbuf *out);

#endif
