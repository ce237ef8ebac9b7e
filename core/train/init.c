/* Where training starts from other weights: they must be of the model that is trained, in all that
 * its tensors' shapes do not show. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "train/checkpoint.h"
#include "train/run.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* What a tower computes from its weights. Image size, patch and text length may differ: positions
 * and the patch embedding are resized. */
static const char *const image_keys[] = {"image.heads",      "image.position", "image.class_token",
                                         "image.pool",       "image.pre_norm", "image.patch_bias",
                                         "image.activation", "image.norm_eps"};
static const char *const text_keys[] = {"text.heads",        "text.tokenizer", "text.causal",
                                        "text.pool",         "text.post_norm", "text.activation",
                                        "text.padding_mask", "text.norm_eps"};
/* What they were trained to be given, and to give. Training may go on with other values, as from
 * the towers of other projects. */
static const char *const image_uses[] = {"image.normalization"};
static const char *const text_uses[] = {"text.special_tokens", "text.repair", "normalize"};

/* remarks: where to note a difference, instead of refusing it; NULL. */
static err compare(const char *path, const settings *before, const settings *s,
                   const char *const *keys, size_t count, strbuf *remarks) {
  for (size_t i = 0; i < count; i++) {
    const setting *row = settings_find(keys[i]);
    strbuf own = {0}, other = {0};
    setting_format(row, s, &own);
    setting_format(row, before, &other);
    err error = NULL;
    if (own.is_broken || other.is_broken)
      error = mem_error(0, "the settings");
    else if (remarks && strcmp(strbuf_string(&own), strbuf_string(&other)) != 0)
      strbuf_format(remarks, "init_from: %s was trained with %s: %s, and this run has %s\n", path,
                    keys[i], strbuf_string(&other), strbuf_string(&own));
    else if (strcmp(strbuf_string(&own), strbuf_string(&other)) != 0)
      error = err_new(ERR_INPUT,
                      "%s is of a model with %s: %s, and this run has %s, with which its weights "
                      "compute something else; set %s: %s",
                      path, keys[i], strbuf_string(&other), strbuf_string(&own), keys[i],
                      strbuf_string(&other));
    strbuf_free(&own);
    strbuf_free(&other);
    if (error) return error;
  }
  return NULL;
}

static err check_model(run *r, const char *path) {
  settings before;
  checkpoint_state state;
  err error = checkpoint_read_settings(path, &before, &state);
  if (error) return error;
  error = compare(path, &before, r->s, image_keys, COUNT(image_keys), NULL);
  if (!error) error = compare(path, &before, r->s, image_uses, COUNT(image_uses), &r->remarks);
  if (!error && !run_is_classifier(r))
    error = compare(path, &before, r->s, text_keys, COUNT(text_keys), NULL);
  if (!error && !run_is_classifier(r))
    error = compare(path, &before, r->s, text_uses, COUNT(text_uses), &r->remarks);
  if (!error && !run_is_classifier(r))
    error = err_context(words_check(&state.words, r->s, r->words), "%s", path);
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
