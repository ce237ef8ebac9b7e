/* The order of actions in a run: what follows each step. A pure function, so that everything that
 * trains, including the tests' stand-in, steps, saves, evaluates and stops in the same order.
 *
 * A step is saved before it is evaluated: a process that is killed, stopped or fails during an
 * evaluation loses nothing else, and runs the evaluation when it resumes. A run that is asked to
 * stop saves and stops; the skipped evaluation is run on resume, before the next step. The same
 * holds for the last evaluation: a run without it is not finished. */
#ifndef FLIP_TRAIN_COURSE_H
#define FLIP_TRAIN_COURSE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  int64_t total_steps, batch_size;
  int64_t points;            /* number of evaluations, evenly spaced, the last at the end;
                                0: none */
  int64_t checkpoint_every;  /* samples; 0: at every evaluation */
  double checkpoint_seconds; /* also write a checkpoint when the last is this old */
  int64_t log_every;         /* steps per row */
} course_rules;

typedef struct {
  int64_t step;           /* completed steps */
  bool is_saved;          /* this step has a checkpoint */
  bool is_evaluated;      /* the evaluation of this step, if one is due, is recorded */
  double unsaved_seconds; /* since the last checkpoint or the start of the process */
  bool is_stop_wanted;
} course_place;

typedef enum { COURSE_STEP, COURSE_SAVE, COURSE_EVALUATE, COURSE_STOP, COURSE_FINISH } course_act;

course_act course_next(const course_rules *rules, const course_place *place);

/* Evaluation i of `points` is due after the first step that reaches total_steps * i / points. */
bool course_is_evaluation_due(const course_rules *rules, int64_t step);

/* Rows end every log_every steps, and before any other action: no row spans a checkpoint, and
 * resuming starts a new one. */
bool course_is_row_due(const course_rules *rules, int64_t step, course_act next);

#endif
