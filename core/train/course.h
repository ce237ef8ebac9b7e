/* The order of a run: what comes after each step. A pure function, so that everything that trains,
 * the tests' stand-in included, steps, saves, evaluates and stops in the same order.
 *
 * A step is saved before it is evaluated: a process that is killed, stopped or fails in an
 * evaluation loses nothing else, and runs the evaluation when it resumes. A run that is asked to
 * stop saves and stops; the skipped evaluation is run on resume, before the next step. So is the
 * last one: a run without it is not finished. */
#ifndef FLIP_TRAIN_COURSE_H
#define FLIP_TRAIN_COURSE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  int64_t total_steps, batch_size;
  int64_t points;            /* number of evaluations, evenly spaced, the last at the end;
                                0: none */
  int64_t checkpoint_every;  /* samples; 0: where an evaluation is due */
  double checkpoint_seconds; /* a checkpoint also when the last is this old */
  int64_t log_every;         /* steps of a row */
} course_rules;

typedef struct {
  int64_t step;           /* so many are done */
  bool is_saved;          /* there is a checkpoint of this step */
  bool is_evaluated;      /* the evaluation of this step, if one is due, is recorded */
  double unsaved_seconds; /* since the last checkpoint or the start of the process */
  bool is_stop_wanted;
} course_place;

typedef enum { COURSE_STEP, COURSE_SAVE, COURSE_EVALUATE, COURSE_STOP, COURSE_FINISH } course_act;

course_act course_next(const course_rules *rules, const course_place *place);

/* Evaluation i of `points` is due after the first step that reaches total_steps * i / points. */
bool course_is_evaluation_due(const course_rules *rules, int64_t step);

/* Rows end every log_every steps, and before anything that is not a step: no row straddles a
 * checkpoint, and resuming begins a new one. */
bool course_is_row_due(const course_rules *rules, int64_t step, course_act next);

#endif
