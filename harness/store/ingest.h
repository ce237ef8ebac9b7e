/* Shared by the readers of a run folder's two files. Internal to store/: ingest.c reads the files
 * and attempts.jsonl, events.c converts the events of docs/events.md into rows. */
#ifndef FLIPBENCH_STORE_INGEST_H
#define FLIPBENCH_STORE_INGEST_H

#include <jansson.h>

#include "base/json_read.h"
#include "store/sql.h"

typedef struct {
  store *s;
  const char *directory;
  int64_t run_id;
  int64_t total_steps; /* 0 until a start event gave it */

  /* the file and line that are being read */
  const char *path;
  int64_t line_start;   /* bytes before the line */
  int64_t read_from;    /* bytes before the first line of this reading */
  int64_t lines_before; /* before read_from; -1: not counted yet */
  int64_t lines_read;   /* from read_from on, with the line itself */

  /* the process whose events are being read: the newest `start`; number 0 before the first */
  struct {
    int64_t number, attempt, version;
    char last[32];   /* time of its last event; "" when none arrived since events_resume */
    char before[32]; /* time of the event before; "" before the first */
    bool has_labels;
  } process;
  /* the newest row of `step`; step 0 when there is none */
  struct {
    int64_t step, attempt;
    bool is_boundary;     /* a checkpoint or an evaluation refers to it: later rows do not absorb
                           * it */
    double train_seconds; /* sum of all rows' seconds */
    double told_seconds;  /* the trainer's own running total; NaN: not known */
  } last;
  bool has_settled; /* an event arrived after which the run's numbers must be recomputed at once */
} ingest;

/* 0 for values that are missing, null or out of range. Other members: json_text_of, and
 * json_number_of, whose NaN is stored as NULL. */
int64_t ingest_integer(const json_t *object, const char *key);

/* A whole number from 0 on, NaN for anything else: for INTEGER columns that may be NULL. */
double ingest_whole(const json_t *object, const char *key);

/* Says of the line that is being read what is wrong with it, with its file and number: on stderr,
 * and in the run's record where there is one. */
err ingest_warn_line(ingest *in, const char *what) ERR_MUST_CHECK;

err ingest_put_summary(ingest *in, const char *name, double value) ERR_MUST_CHECK;
err ingest_put_warning(ingest *in, const char *kind, const char *message,
                       const char *time) ERR_MUST_CHECK;

/* event_steps.c: in->last of the newest row; the row of a step event. */
err steps_find_last(ingest *in) ERR_MUST_CHECK;
err steps_take(ingest *in, const json_t *event) ERR_MUST_CHECK;

/* Restores the reader's state from earlier calls. */
err events_resume(ingest *in) ERR_MUST_CHECK;
err events_take(ingest *in, const json_t *event) ERR_MUST_CHECK;
/* Records the progress of the newest process. */
err events_pause(ingest *in) ERR_MUST_CHECK;
/* Deletes all rows created from events. */
err events_forget_all(ingest *in) ERR_MUST_CHECK;

#endif
