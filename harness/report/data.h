/* The cells of an experiment with what the store has recorded about them, grouped into rows. Shared
 * by the table and the figures. data_load reads everything at once, except per-item outcomes, which
 * are read on first use. Internal to report/. */
#ifndef FLIPBENCH_REPORT_DATA_H
#define FLIPBENCH_REPORT_DATA_H

#include "experiment/spec.h"
#include "stats/crossed.h"
#include "stats/curve.h"
#include "stats/paired.h"
#include "store/curves.h"
#include "store/environments.h"
#include "store/facts.h"
#include "store/inputs.h"
#include "store/outcomes.h"
#include "store/store.h"

typedef store_evaluation data_evaluation;

typedef struct {
  const spec_cell *cell;
  int64_t run_id; /* 0: never run */
  bool is_finished;
  int64_t origin;         /* the run that it started from; 0: unknown, or none */
  bool is_origin_unsure;  /* the record does not say which of several */
  char *status, *message; /* owned */
  char *lost;             /* what a finished run's record has lost; owned, NULL: nothing */
  char *ended;            /* owned; "" while it is running */
  ptrdiff_t tuned;        /* the first cell tuned from this one; -1: none */
  ptrdiff_t fine_tuned;   /* the first classifier trained from this one; -1: none */
  ptrdiff_t measured;     /* the first cell that measures this one (data_is_measurement); -1 */
  store_environment environment; /* where it ran */
  store_fact *numbers;           /* the run's summary */
  size_t number_count;
  data_evaluation *evaluations; /* by ordinal of the set, then step */
  size_t evaluation_count;
  size_t inputs[INPUT_KINDS]; /* by kind: 0 as the newest run's or not finished, else 1, 2, … */
  size_t group; /* of a matrix cell, by all its inputs that affect the result: likewise */
  store_outcome *outcomes; /* those that were requested */
  size_t outcome_count;
} data_cell;

typedef struct {
  size_t *cells; /* indices of matrix cells that share the row's values */
  size_t count;
  size_t group; /* of its cells: cells with different inputs form separate rows */
} data_row;

typedef struct {
  const spec_experiment *e;
  store *s;
  data_cell *cells; /* in the experiment's order */
  data_row *rows;
  size_t row_count;
  ptrdiff_t baseline; /* row; -1: none given */
  bool is_mixed[INPUT_KINDS];
  size_t group_count;
  char **group_names; /* of group 1, 2, …: the inputs that differ */
} report_data;

err data_load(const spec_experiment *e, store *s, report_data *d) ERR_MUST_CHECK;
void data_free(report_data *d);

/* A number of a run's summary; NaN: not recorded. */
double data_number_of(const data_cell *c, const char *name);
/* Was the run disturbed by other load, and what share of its time did that cost? */
bool data_is_disturbed(const data_cell *c);
/* Were enough of its steps undisturbed to estimate its steady pace? If not, the pace is only
 * bounded: undisturbed it would have been no slower. */
bool data_has_pace(const data_cell *c);

/* The finished run that continues a cell's curve: the first one tuned from it; -1: none. */
ptrdiff_t data_continued_by(const report_data *d, size_t cell);
/* Was a run of a cell's whole curve disturbed? Does each of them have a pace? */
bool data_is_curve_disturbed(const report_data *d, size_t cell);
bool data_has_curve_pace(const report_data *d, size_t cell);

/* A tuning at rate 0, which changes no weight: it only measures the cell that it starts from, with
 * evaluations that are not part of that cell (a linear probe). */
bool data_is_measurement(const spec_cell *cell);

/* The cell that a column refers to: itself, or one trained from it; -1: none. */
ptrdiff_t data_shown_cell(const report_data *d, size_t cell, const column *c);
/* Was a finished run trained on different machines or numbers of ranks or threads? Then it has a
 * time, but no steady pace (store/numbers.c). */
bool data_has_mixed_paces(const data_cell *c);

/* The last evaluation of what a column shows for a cell, finished or not; NULL: none. */
const data_evaluation *data_find_evaluation(const report_data *d, size_t cell, const column *c);
/* The same if it is of the run's last evaluation: an earlier one is not the run's result. */
const data_evaluation *data_final_evaluation(const report_data *d, size_t cell, const column *c);
/* Whether the cell (or the one trained from it, if the column refers to that) has finished. */
bool data_has_result(const report_data *d, size_t cell, const column *c);
/* The value of a column for one cell, before scaling; NaN when there is none. Ratios are computed
 * per row (report/measure.h). */
double data_value(const report_data *d, size_t cell, const column *c);
/* Which items that evaluation classified correctly; `items` 0: not recorded. For a mean over
 * classes the labels are its strata. Owned by `d`. */
err data_find_outcome(report_data *d, size_t cell, const data_evaluation *e,
                      const store_outcome **outcome) ERR_MUST_CHECK;
/* Is the metric a mean over classes of its hits' means (zero-shot per class)? */
bool data_is_per_class(const data_evaluation *e);

/* The evaluation that a column with curves shows: EVAL "task.metric" or CHANCE
 * "task.metric/chance". */
typedef struct {
  char task[32], metric[64], chance[80]; /* chance "": none */
} data_metric;
data_metric data_parse_metric(const char *argument);
/* Another metric of the same evaluation, among all of a run; NULL: none. */
const data_evaluation *data_find_beside(const data_evaluation *all, size_t count,
                                        const data_evaluation *e, const char *metric);
/* The chance level that a column divides by, recorded with this evaluation of `own`; 1: it does not
 * divide; NaN: none was recorded. */
double data_chance(const data_cell *own, const data_evaluation *e, const column *c);
/* The share that an untrained model reaches on average; 0: none was recorded for this metric. */
double data_start(const data_cell *own, const data_evaluation *e);

/* The finished cell of row `other` with the seed of a finished cell; -1: none, or it has not
 * finished. */
ptrdiff_t data_partner(const report_data *d, size_t cell, size_t other);
/* The row's finished cells, each paired with the cell of `other` with the same seed. Arrays of the
 * row's count. */
size_t data_pair_seeds(const report_data *d, size_t row, size_t other, size_t *own, size_t *theirs);
/* Times of runs that differ in one of these are not compared. */
enum { DATA_TIME_INPUTS = 4 };
extern const input_kind data_time_inputs[DATA_TIME_INPUTS];

/* May the rows' results be compared, and their times? Results not if their inputs differ; times not
 * across machines. */
bool data_is_comparable(const report_data *d, size_t row, size_t other, bool is_of_time);
/* Why a mean of the times of the row's finished runs is no time: "its runs were made on different
 * processors", …; NULL: it is one. */
const char *data_differing_pace(const report_data *d, size_t row);
bool data_has_several_ranks(const report_data *d, size_t row);
/* May their peak memory? A device's is not a process's, and each of several ranks has a part. */
bool data_has_comparable_memory(const report_data *d, size_t row, size_t other);
/* May the times of the rows' whole curves, which tunings continue? */
bool data_has_comparable_curves(const report_data *d, size_t row, size_t other);
/* The number of finished cells of a row. */
size_t data_finished(const report_data *d, size_t row, size_t *cells);

/* "mask 50 %" for a row. */
void data_name_row(const report_data *d, size_t row, strbuf *out);

#endif
