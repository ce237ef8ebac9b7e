/* A classifier on a set of labelled images. */
#include "eval/eval.h"
#include "eval/probe_inside.h"

err eval_run_classes(comm *ranks, eval_set *test, const eval_set *train, clip_model *model,
                     eval_result *result, eval_outcomes *outcomes) {
  const int64_t classes = clip_get_config(model)->classes;
  const eval_how whole = {.ranks = ranks};
  probe_features to = {0};
  err error = NULL;
  *result = (eval_result){.has_classes = true};
  TRY(probe_allocate(ranks, test, classes, &to));
  TRY(eval_features(test, model, &whole, to.rows, to.labels, &to.count));
  TRY(probe_renumber(ranks, train, test, classes, &to));
  TRY(eval_score_classes(ranks, to.rows, to.labels, to.count, classes, &result->zeroshot,
                         outcomes));
cleanup:
  probe_free(&to);
  return error;
}
