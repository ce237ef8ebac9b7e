/* The cells of an experiment with what the store knows of them, grouped into rows. Shared by the
 * table and the plots. Internal to report/. */
#ifndef FLIPBENCH_REPORT_DATA_H
#define FLIPBENCH_REPORT_DATA_H

#include "spec/spec.h"
#include "stats/curve.h"
#include "store/store.h"

typedef struct {
  const spec_cell *cell;
  int64_t run_id; /* 0: never run */
  bool is_finished;
  char *status, *message; /* owned */
  ptrdiff_t tuned;        /* the first cell tuned from this one; -1: none */
} data_cell;

typedef struct {
  size_t *cells; /* indices of matrix cells that share the row's values */
  size_t count;
} data_row;

typedef struct {
  const spec_experiment *e;
  store *s;
  data_cell *cells; /* in the experiment's order */
  data_row *rows;
  size_t row_count;
  ptrdiff_t baseline; /* row; -1: none was named */
} report_data;

err data_load(const spec_experiment *e, store *s, report_data *d) ERR_MUST_CHECK;
void data_free(report_data *d);

/* The value of a column for one cell, before scaling; NaN when there is none. */
err data_value(const report_data *d, size_t cell, const column *c, double *value) ERR_MUST_CHECK;

/* Which evaluation a column with curves shows: EVAL "task.metric" or CHANCE "task.metric/chance".
 */
typedef struct {
  char task[32], metric[64], chance[80]; /* chance "": none */
} data_metric;
data_metric data_parse_metric(const char *argument);

/* One point of a mean curve: means over the row's cells at the same step. */
typedef struct {
  double samples, seconds, accuracy, low, high; /* low, high: least and greatest over seeds */
  bool is_tuning;
} data_point;
typedef struct {
  data_point *points;
  size_t count;
  size_t tuned_from; /* index of the first point of the tuning; count: none */
} data_curve;
/* The curve of the experiment's iso metric, tuning included, averaged over the cells of `row`
 * listed in `chosen` (indices into the row; NULL: all). */
err data_row_curve(const report_data *d, size_t row, const size_t *chosen, size_t chosen_count,
                   data_curve *curve) ERR_MUST_CHECK;
void data_free_curve(data_curve *curve);

/* Iso-accuracy speed-up of a row against the baseline row, with a 95 % bootstrap interval over
 * seeds when there are several (else NaN). */
err data_row_iso(const report_data *d, size_t row, curve_iso *iso, double *low,
                 double *high) ERR_MUST_CHECK;

/* "mask 50 %" for a row. */
void data_name_row(const report_data *d, size_t row, strbuf *out);

#endif
