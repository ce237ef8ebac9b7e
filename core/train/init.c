/* Where training starts from other weights: they must be of the model that is trained, in all that
 * that its tensors' shapes do not show, and in those shapes but of what is resized. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "config/weights_of.h"
#include "train/checkpoint.h"
#include "train/run.h"

/* A difference in what the weights are given is noted, one in what they compute is refused. */
typedef struct {
  run *r;
  const char *path;
} start;

static err take_difference(void *context, const weights_difference *d) {
  const start *from = context;
  if (!d->is_use)
    return err_new(ERR_INPUT, "%s is of a model with %s: %s, and this run has %s, %s; set %s: %s",
                   from->path, d->key, d->before, d->now,
                   d->is_shape ? "for which its weights have another shape"
                               : "with which its weights compute something else",
                   d->key, d->before);
  strbuf_format(&from->r->remarks, "init_from: %s was trained with %s: %s, and this run has %s\n",
                from->path, d->key, d->before, d->now);
  return NULL;
}

/* Of the same vocabulary, which words_check has compared. */
static err check_rows(run *r, const char *path, const settings *before) {
  const int64_t entries = tokenizer_vocabulary_size(r->words);
  char had[32], has[32];
  if (settings_vocabulary_rows(before, entries) == settings_vocabulary_rows(r->s, entries))
    return NULL;
  snprintf(had, sizeof had, "%" PRId64, before->text_vocabulary_rows);
  snprintf(has, sizeof has, "%" PRId64, r->s->text_vocabulary_rows);
  return take_difference(&(start){r, path}, &(weights_difference){.key = "text.vocabulary_rows",
                                                                  .before = had,
                                                                  .now = has,
                                                                  .is_shape = true});
}

static err check_model(run *r, const char *path) {
  settings before;
  checkpoint_state state;
  err error = checkpoint_read_settings(path, &before, &state);
  if (error) return error;
  const unsigned parts = run_is_classifier(r) ? OF_IMAGE | OF_POOLING : OF_WHOLE_MODEL;
  error = weights_compare(&before, r->s, parts | OF_SHAPES, take_difference, &(start){r, path});
  if (!error && !run_is_classifier(r))
    error = err_context(words_check(&state.words, r->s, r->words), "%s", path);
  if (!error && !run_is_classifier(r)) error = check_rows(r, path, &before);
  settings_free(&before);
  return error;
}

/* The temperature's first value: a constant one is the setting's, a learned one goes on from the
 * checkpoint. */
static err start_temperature(run *r, const char *path) {
  const param *scale = param_table_find(clip_params(r->model), "logit_scale");
  const setting *row = settings_find("temperature");
  const float constant = (float)scale->scale;
  double learned;
  strbuf asked = {0};
  if (!r->s->temperature_learned) {
    err error = clip_set(r->model, scale, &constant);
    return error ? error : clip_refresh(r->model);
  }
  err error = clip_logit_scale(r->model, &learned);
  setting_format(row, r->s, &asked);
  if (!error && strcmp(strbuf_string(&asked), row->initial) != 0)
    strbuf_format(&r->remarks,
                  "init_from: the temperature goes on from the %.4g of %s, and temperature: %s has "
                  "no effect (temperature_learned: false makes it constant)\n",
                  1 / learned, path, strbuf_string(&asked));
  strbuf_free(&asked);
  return error;
}

err run_start_weights(run *r) {
  const char *from = r->s->init_from;
  char *path = NULL;
  err error = NULL;
  if (!*from || run_is_classifier(r)) /* its head is new in any case */
    error = clip_initialise(r->model, (uint64_t)r->s->seed);
  if (error || !*from) return error;
  error = run_find_init(r, &path);
  if (!error && !path)
    error = fs_is_folder(from) ? err_new(ERR_INPUT, "%s has no checkpoint", from)
                               : err_new(ERR_INPUT, "%s: no such file", from);
  if (!error) error = check_model(r, path);
  if (!error)
    error = run_is_classifier(r) ? checkpoint_load_image(path, r->model)
                                 : checkpoint_load(path, r->model, NULL);
  if (!error && !run_is_classifier(r)) error = start_temperature(r, path);
  free(path);
  return err_context(error, "init_from");
}
