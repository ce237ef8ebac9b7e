/* The comparison table of an experiment: its rows and columns as numbers, ready to be written in
 * any format (report/write.h), and the notes below it. */
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
  size_t seeds_needed, items_needed; /* needed to distinguish it from zero; 0: none, or already
                                      * distinguished */
  const char *over; /* what its interval covers: "seeds and paired images"; NULL: no interval */
} report_difference;

/* `missing` of the baseline's speed-up over itself, which needs no explanation. */
extern const char report_is_baseline[];

/* One number of the table: the mean over the row's cells (seeds). */
typedef struct {
  double value;           /* in the column's unit; NaN: none */
  double half_width;      /* of a symmetric interval; NaN: it has none, or is not symmetric */
  double low, high;       /* 95 % interval, symmetric or not; NaN: none; high may be infinite */
  double reference;       /* the published number; NaN: none */
  char *reference_source; /* where it is from; owned, NULL: not known */
  bool is_reference_verified;
  bool is_best;        /* significantly better than every other row's */
  size_t seeds, items; /* that the number is based on; items 0: not evaluated per item */
  const char *over;    /* what the interval covers: "seeds and images"; NULL: no interval */
  report_difference difference; /* of accuracies */
  char *text;                   /* of a setting's column; owned, else NULL */
  double *parts;       /* one per run of the row, NaN: none; owned, NULL for other columns */
  int64_t *runs;       /* whose numbers the parts are, 0: none; owned, NULL: those of the row */
  const char *missing; /* why there is no value, as text; NULL when there is one */
} report_value;

typedef struct {
  char **keys;            /* the row's own name, one text per row key of the experiment */
  char **key_values;      /* one per key, as written in the experiment: "0.5" */
  report_value *values;   /* one per column */
  size_t cells, finished; /* seeds in the experiment, and with a result */
  int64_t *runs;          /* one per cell, 0: not run; owned */
  char **labels;          /* of the cells; owned */
  char *missing; /* why cells have no result, or what the record of one has lost; NULL: nothing */
  size_t disturbed;  /* seeds with a run disturbed by other load on the machine: marked † */
  double lost_share; /* the greatest that a run of the row recorded, disturbed or not; NaN: none */
  bool has_other_inputs; /* inputs differ from the other rows (notes.mixed): marked ‡ */
} report_row;

/* Notes below the table, one per line; NULL: none. Owned. */
typedef struct {
  char *disturbed;  /* the disturbed rows, the time lost, and the effect on the numbers */
  char *mixed;      /* what the rows' inputs differ in, and what is not compared because of it */
  char *iso;        /* the iso-accuracy speed-ups */
  char *accuracy;   /* differences from the baseline */
  char *basis;      /* what the intervals are based on, and how times are measured */
  char *recorded;   /* columns whose intervals over images the runs recorded */
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
  size_t cells, finished; /* of the experiment, those trained from others included */
  report_notes notes;
  char *source;               /* of the published values (report/sources.h); NULL: none are shown */
  const char *reference_note; /* to follow the source: how the published values compare; "": as they
                               * are */
  bool has_unverified;
} report_table;

err report_build(const spec_experiment *e, store *s, report_table **table) ERR_MUST_CHECK;
void report_free(report_table *table);

/* "mask 50 %" for mask_ratio=0.5: a key and its value for display. */
void report_name_key(const char *key, strbuf *out);
void report_name_value(const char *key, const char *value, strbuf *out);

#endif
