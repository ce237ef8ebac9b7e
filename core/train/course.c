#include "train/course.h"

bool course_is_evaluation_due(const course_rules *rules, int64_t step) {
  if (step <= 0 || rules->total_steps <= 0) return false;
  int64_t before = (step - 1) * rules->points / rules->total_steps;
  return step * rules->points / rules->total_steps > before;
}

static bool is_checkpoint_due(const course_rules *rules, const course_place *place) {
  int64_t every = rules->checkpoint_every, samples = place->step * rules->batch_size;
  if (place->step >= rules->total_steps) return true;
  if (place->unsaved_seconds > rules->checkpoint_seconds) return true;
  if (every == 0) return course_is_evaluation_due(rules, place->step);
  return samples / every > (samples - rules->batch_size) / every;
}

course_act course_next(const course_rules *rules, const course_place *place) {
  bool is_at_end = place->step >= rules->total_steps;
  bool is_unevaluated = !place->is_evaluated && course_is_evaluation_due(rules, place->step);
  bool is_worth_saving = place->step > 0 && !place->is_saved;
  if (is_worth_saving && (place->is_stop_wanted || is_checkpoint_due(rules, place)))
    return COURSE_SAVE;
  if (is_at_end && !is_unevaluated) return COURSE_FINISH; /* there is nothing left to stop */
  if (place->is_stop_wanted) return COURSE_STOP;
  if (is_unevaluated) return COURSE_EVALUATE;
  return COURSE_STEP;
}

bool course_is_row_due(const course_rules *rules, int64_t step, course_act next) {
  return next != COURSE_STEP || step % rules->log_every == 0;
}
