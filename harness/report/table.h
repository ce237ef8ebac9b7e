/* The comparison table of an experiment: its rows and columns as numbers, ready to be written in
 * any format (report/write.h), and the sentences that belong below it. */
#ifndef FLIPBENCH_REPORT_TABLE_H
#define FLIPBENCH_REPORT_TABLE_H

#include "experiment/spec.h"
#include "store/store.h"

typedef struct {
  char *name, *heading, *unit; /* owned */
  const column *known;         /* NULL: the column shows a setting */
  int digits;
  bool has_reference, has_interval;
} report_column;

/* A difference from the baseline's row, in the column's unit, paired by seed and item. */
typedef struct {
  double value, low, high;           /* NaN: none */
  size_t seeds_needed, items_needed; /* that would tell it from zero; 0: none, or it is told */
} report_difference;

/* One number of the table: the mean over the row's cells (seeds). */
typedef struct {
  double value;      /* in the column's unit; NaN: none */
  double half_width; /* of a symmetric interval; NaN: it has none, or is not symmetric */
  double low, high;  /* 95 % interval, symmetric or not; NaN: none; high may be infinite */
  double reference;  /* the published number; NaN: none */
  bool is_reference_verified;
  bool is_best;                 /* better than every other row's by more than chance explains */
  size_t seeds, items;          /* that the number is made from; items 0: none were judged */
  report_difference difference; /* of accuracies */
  char *text;                   /* of a setting's column; owned, else NULL */
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
  size_t disturbed;       /* runs that other work on the machine disturbed: marked † */
  double lost_share;      /* the greatest share of time that one of them lost */
  bool is_given_other;    /* other data than the rest (notes.mixed): marked ‡ */
} report_row;

/* Sentences below the table, one a line each; NULL: nothing to say. Owned. */
typedef struct {
  char *disturbed;  /* which rows were, what that cost, what it means for the numbers */
  char *mixed;      /* what the rows were given differs in */
  char *iso;        /* the iso-accuracy speed-ups */
  char *accuracy;   /* differences from the baseline */
  char *basis;      /* what the intervals are made from, and of what times are */
  char *provenance; /* "commit 0123456 · Imaginary CPU · bf16 · 2 threads · …" */
} report_notes;

typedef struct {
  char *title, *name;
  char **key_headings, **key_names; /* "mask" and "mask_ratio" */
  size_t key_count;
  report_column *columns;
  size_t column_count;
  report_row *rows;
  size_t row_count;
  report_notes notes;
  char *source; /* of the published values; NULL: none are shown */
  bool has_unverified;
} report_table;

err report_build(const spec_experiment *e, store *s, report_table **table) ERR_MUST_CHECK;
void report_free(report_table *table);

/* "mask 50 %" for mask_ratio=0.5: a key and its value as people say them. */
void report_name_key(const char *key, strbuf *out);
void report_name_value(const char *key, const char *value, strbuf *out);

#endif
