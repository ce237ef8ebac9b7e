/* The parts of a run that differ for a classifier: its data and its batches. Also the linear probe,
 * which reads the same kind of set. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "train/mix.h"
#include "train/run.h"

const dataset *run_data(const run *r) {
  return r->train_set ? eval_set_data(r->train_set) : r->data;
}

const char *run_data_fingerprint(const run *r) {
  return r->train_set ? eval_set_fingerprint(r->train_set) : dataset_fingerprint(r->data);
}

int64_t run_data_samples(const run *r) {
  return r->train_set ? r->row_count : dataset_epoch(r->data);
}

static err check_classes(const run *r) {
  int64_t found = eval_set_classes(r->train_set), wanted = r->s->classification_classes;
  if (found == wanted) return NULL;
  return err_new(ERR_INPUT,
                 "classification.classes: %" PRId64 ", but %s has %" PRId64
                 " classes: set classification.classes to %" PRId64
                 ", or list the classes in the set's file",
                 wanted, r->s->classification_train, found, found);
}

static err choose_rows(run *r) {
  int64_t rows = eval_set_rows(r->train_set);
  r->rows_used = mem_zeroed((size_t)rows, sizeof *r->rows_used);
  if (!r->rows_used) return mem_error((size_t)rows * sizeof *r->rows_used, "the training rows");
  for (int64_t row = 0; row < rows; row++)
    if (eval_set_class_of(r->train_set, row) >= 0) r->rows_used[r->row_count++] = row;
  if (r->row_count) return NULL;
  return err_new(ERR_INPUT, "%s: no image has a class", r->s->classification_train);
}

err run_open_classes(run *r) {
  const settings *s = r->s;
  size_t batch = (size_t)r->own.batch_size;
  size_t pixels = batch * (size_t)(s->image_size * s->image_size) * 3;
  err error = NULL;
  TRY(eval_set_open(s->classification_train, "probe", s, NULL, &r->train_set));
  TRY(check_classes(r));
  if (eval_set_is_corrupted(r->train_set))
    FAIL(ERR_INPUT, "%s: corruption: classifiers are trained on images as they are: leave it out",
         s->classification_train);
  TRY(choose_rows(r));
  if (comm_rank(r->ranks)) eval_set_new_warnings(r->train_set); /* rank 0 gives them */
  for (size_t i = 0; i < s->eval_sets.count; i++) TRY(run_open_set(r, "probe", NULL));
  r->mixed = mem_aligned(pixels);
  r->classes = mem_zeroed(batch, sizeof *r->classes);
  r->mixes = mem_zeroed(batch, sizeof *r->mixes);
  r->shares = mem_zeroed(batch, sizeof *r->shares);
  if (!r->mixed || !r->classes || !r->mixes || !r->shares)
    error = mem_error(pixels, "mixed images");
cleanup:
  return error;
}

/* Of this rank's part of the batch, which contains the partners of its samples (loader.h). */
void run_mix_batch(run *r) {
  const loader_batch *b = &r->batch;
  mix_draw_batch(r->s, b->numbers, b->count, r->mixes);
  for (int64_t i = 0; i < b->count; i++) {
    r->classes[i] = eval_set_class_of(r->train_set, b->rows[i]);
    r->shares[i] = r->mixes[i].share;
  }
  mix_images(r->mixes, b->count, b->images, r->mixed);
  r->targets = (clip_targets){.count = b->count,
                              .labels = r->classes,
                              .shares = r->shares,
                              .smoothing = r->s->classification_label_smoothing};
}

err run_probe(run *r) {
  eval_set *test = r->sets[0];
  eval_probe probe;
  eval_outcomes outcomes = {0};
  double start = clock_seconds();
  const eval_lars recipe = {.epochs = r->s->eval_probe_epochs};
  eval_how how = eval_how_of(r->s);
  how.ranks = r->ranks;
  err error = eval_run_lars_items(r->probe_set, test, r->model, &how, &recipe, &probe, &outcomes);
  r->is_agreed = error && err_kind_of(error) != ERR_LOST;
  if (!error && comm_rank(r->ranks) == 0)
    error = run_report_probe(r, &probe, &outcomes, clock_seconds() - start);
  error = err_context(error, "linear probe on %s", eval_set_name(test));
  eval_outcomes_free(&outcomes);
  return error ? error : run_warn_of_left_out(r, r->probe_set);
}
