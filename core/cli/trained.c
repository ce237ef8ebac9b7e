#include "cli/trained.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"
#include "eval/finite.h"
#include "model/count.h"
#include "ops/device.h"

/* Checks that a model that pools the end of text pools the token given in its own configuration. */
static err check_end(const trained *t, int64_t wanted) {
  int64_t end = tokenizer_end(t->words), largest = tokenizer_vocabulary_size(t->words) - 1;
  if (t->s.text_pool != TEXT_POOL_EOT || wanted == END_IS_ANY) return NULL;
  if (wanted == END_IS_LARGEST) wanted = largest;
  if (end == wanted) return NULL;
  return err_new(ERR_UNSUPPORTED,
                 "the model pools token %ld (eos_token_id), but its tokenizer ends texts with %ld",
                 (long)wanted, (long)end);
}

static err open_words(trained *t, const weights *w) {
  if (!*t->s.text_vocabulary)
    return err_new(ERR_INPUT, "the model's files contain no vocabulary: give one with --set "
                              "text.vocabulary=FILE");
  err error = weights_check_words(w);
  if (!error) error = tokenizer_open_for(&t->s, &t->words);
  if (error) return error;
  int64_t entries = tokenizer_vocabulary_size(t->words);
  if (!weights_hold_words(w, entries))
    return err_new(ERR_INPUT,
                   "%s has %ld entries, but the model was trained with %ld: give the right one "
                   "with --set text.vocabulary=FILE",
                   t->s.text_vocabulary, (long)entries, (long)w->vocabulary);
  error = words_check(&w->words, &t->s, t->words);
  return error ? error : check_end(t, w->end_of_text);
}

/* A tower alone, or two without projections, have no embeddings: what was drawn would be measured.
 */
static err check_parts(const trained *t, const weights *w) {
  bool is_encoder = t->is_probe && t->s.eval_probe_features == EVAL_PROBE_ENCODER;
  if (!w->drawn || (is_encoder && !(w->drawn & WEIGHTS_IMAGE_TOWER))) return NULL;
  strbuf parts = {0};
  weights_name_parts(w->drawn, &parts);
  err error = err_new(
      ERR_UNSUPPORTED,
      "contains no %s, so that it has no embeddings: combine two towers with flip convert and "
      "train them (of an image tower alone, flip eval probe --set eval.probe_features=encoder "
      "measures the features)",
      strbuf_string(&parts));
  strbuf_free(&parts);
  return error;
}

static err refuse_of_eval(const option_list *sets) {
  static const char *const keys[] = {"eval.mask_ratio=", "eval.views=", "eval.probe_features="};
  for (size_t i = 0; i < sets->count; i++)
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
      if (strncmp(sets->items[i], keys[k], strlen(keys[k])) == 0)
        return err_new(ERR_INPUT,
                       "--set %.*s: only flip eval uses it; here whole images become embeddings",
                       (int)strlen(keys[k]) - 1, keys[k]);
  return NULL;
}

/* Of training, which drops other patches than an evaluation. */
static err refuse_of_training(const option_list *sets) {
  for (size_t i = 0; i < sets->count; i++)
    if (strncmp(sets->items[i], "mask_", 5) == 0)
      return err_new(ERR_INPUT,
                     "--set %s: only training uses it; flip eval drops patches by "
                     "eval.mask_ratio",
                     sets->items[i]);
  return NULL;
}

/* Settings under which a model computes gradients of `views` whole images, and nothing else of
 * training. */
static void prepare_for_pixels(settings *s, int64_t views) {
  s->batch_size = s->eval_batch_size = views;
  s->micro_batch_size = 0;
  s->mask_ratio = s->eval_mask_ratio = 0;
  s->mask_mode = MASK_RANDOM;
  s->mask_replacement = false;
  s->image_dropout = 0;
}

/* Of what ranks must have in common. */
static err describe(const weights *w, const settings *s, char digest[HASH_SIZE]) {
  char values[HASH_SIZE], shared[HASH_SIZE];
  strbuf text = {0};
  hash_bytes(w->values, (size_t)w->table.total * sizeof *w->values, values);
  err error = settings_digest_shared(s, shared);
  if (error) return error;
  strbuf_format(&text, "%s %s %s %s", version_commit, version_dirty_digest, values, shared);
  if (text.is_broken) error = mem_error(text.length, "the model's digest");
  if (!error) hash_bytes(text.data, text.length, digest);
  strbuf_free(&text);
  return error;
}

void trained_say_remarks(const trained *t) {
  for (const char *at = strbuf_string(&t->remarks); *at;) {
    const int length = (int)strcspn(at, "\n");
    log_warning("%.*s", length, at);
    at += length + (at[length] == '\n');
  }
}

err trained_open(const char *path, const option_list *sets, bool needs_texts, trained *t) {
  weights w;
  clip_config config;
  err error = weights_load(&path, 1, sets->items, sets->count, &w);
  if (error) return error;
  TRY(settings_copy(&w.s, &t->s));
  t->has_settings = true;
  t->remarks = w.remarks;
  w.remarks = (strbuf){0};
  error = err_context(check_parts(t, &w), "%s", path);
  if (!error && needs_texts) error = err_context(open_words(t, &w), "%s", path);
  if (error) goto cleanup;
  bool has_pixels = t->pixel_views > 0;
  TRY(refuse_of_training(sets));
  if (!t->is_eval) {
    TRY(refuse_of_eval(sets));
    t->s.eval_mask_ratio = 0;
  }
  if (has_pixels) prepare_for_pixels(&t->s, t->pixel_views);
  clip_config_from(&t->s, w.vocabulary, &config);
  clip_limits limits = model_limits(&t->s);
  TRY(ops_open_as(&t->s, has_pixels ? PRECISION_FP32 : w.precision, &t->o));
  TRY(clip_create(t->o, &config, &limits, has_pixels, &t->model));
  TRY(weights_into(&w, t->model));
  TRY(describe(&w, &t->s, t->digest));
  if (!t->is_eval) trained_say_remarks(t);
cleanup:
  weights_free(&w);
  return error;
}

void trained_close(trained *t) {
  clip_destroy(t->model);
  ops_destroy(t->o);
  if (t->words) tokenizer_close(t->words);
  if (t->has_settings) settings_free(&t->s);
  strbuf_free(&t->remarks);
  *t = (trained){0};
}

err trained_embed_texts(trained *t, const char *name, char *const *texts, size_t count,
                        float *embeddings) {
  int64_t length = t->s.text_length;
  int32_t *ids = mem_zeroed(count * (size_t)length, sizeof *ids);
  int32_t *counts = mem_zeroed(count, sizeof *counts);
  err error = NULL;
  if (!ids || !counts) FAIL(ERR_MEMORY, "out of memory: tokens of %zu texts", count);
  err_first failed = {0};
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < count; i++) {
    err fault = tokenizer_encode(t->words, texts[i], length, ids + i * (size_t)length, &counts[i]);
    if (!fault) continue;
#pragma omp critical
    err_keep_first(&failed, i, fault);
  }
  TRY(failed.error);
  TRY(clip_embed_texts(t->model, (int64_t)count, ids, counts, embeddings));
  error = finite_check(name, "texts", embeddings, (int64_t)count, t->s.embed_dim, NULL);
cleanup:
  free(ids);
  free(counts);
  return error;
}

err trained_read_lines(const char *path, text_lines *lines) {
  err error = text_lines_read(path, true, lines);
  if (error || lines->count) return error;
  text_lines_free(lines);
  return err_new(ERR_INPUT, "%s: contains no text", path);
}
