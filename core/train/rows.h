/* The `step` rows of a run (docs/events.md). Steps are combined into a row; rows wait until the
 * machine's counters are due, which are read between two steps, at most every 20 ms and for at most
 * a 500th of the time; the increase is divided among the waiting rows in proportion to their
 * seconds. Steps of 20 ms or more have separate readings. On several ranks a row has the readings
 * of the one that was delayed most. The rows also determine the pace of the run. */
#ifndef FLIP_TRAIN_ROWS_H
#define FLIP_TRAIN_ROWS_H

#include "base/pace.h"
#include "ops/ops.h"
#include "train/delays.h"
#include "train/events.h"

/* One step. */
typedef struct {
  int64_t step, samples; /* done and seen with it */
  double loss, learning_rate, logit_scale, grad_norm;
  double reconstruction_loss; /* NaN: none */
  double values_saturated;    /* of delayed scaling; NaN: none */
  double seconds, data_wait_seconds;
  double comm_seconds, comm_bytes; /* waiting in calls among ranks, sent in them; NaN: one rank */
} row_step;

typedef struct step_rows step_rows;

/* Rows go to `events`; the device's meter is that of `o`. Neither is owned. train_seconds: of
 * earlier processes. */
err rows_create(ops *o, event_stream *events, double train_seconds, step_rows **out) ERR_MUST_CHECK;
void rows_destroy(step_rows *rows);

/* Reads the rows that earlier processes wrote to `target` (as in events_open) up to `step`, if it
 * is a file: the run's numbers cover all its processes. Call before the first event is written.
 * Lines that are not rows are skipped. */
err rows_read_earlier(step_rows *rows, const char *target, int64_t step) ERR_MUST_CHECK;

/* Training starts or continues: the increase of the counters so far belongs to no row. */
void rows_begin(step_rows *rows);
void rows_add(step_rows *rows, const row_step *step);
/* Of the row that ends next: which rank took longest, and its time by the fastest's (NaN: not
 * known). */
void rows_set_spread(step_rows *rows, int slowest, double spread);
/* Sets the gradients' norm of the last step, if it was measured later. */
void rows_set_norm(step_rows *rows, double grad_norm);
/* By this process's clock. */
bool rows_are_due(const step_rows *rows);
/* Ends the current row. It is written, with those that wait, if the counters are due. Collective if
 * `d` is not NULL: ranks have ended the same rows, and is_due is the same on all. */
err rows_end_row(step_rows *rows, delays *d, bool is_due) ERR_MUST_CHECK;

/* The pace of the whole run so far, without waiting rows. */
err rows_pace(const step_rows *rows, int threads, int cpus, pace *out) ERR_MUST_CHECK;

/* CPUs used by processes outside the run while this process trained, mean, of those that it may
 * use; NaN: not known, or too short a time. */
double rows_other_cpus(const step_rows *rows);

#endif
