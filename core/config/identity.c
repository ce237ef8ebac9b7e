/* The identity of a run: its settings, as far as they can change a result.
 *
 * Only settings that differ from the value that earlier recorded runs imply by omitting them are
 * included. So a version of flip with a new setting still recognises every earlier run, and nothing
 * finished is run again. For most settings that implied value is the default. Where the default
 * differs from the earlier behaviour, `recorded` keeps the earlier value: new runs include the
 * setting in their identity, earlier ones keep theirs. A setting without effect in a run
 * (setting_is_idle) is ignored. A training rule that no setting covers is part of `recipe`
 * (tests/config/defaults.txt lists all these values; a test fails when one changes). */
#include "config/settings.h"

#include <string.h>

#include "base/mem.h"

enum { IDENTITY_VERSION = 1 };

/* The behaviour of runs recorded before the setting existed or its default changed. */
static const struct {
  const char *key, *value;
} recorded[] = {{"recipe", "1"},
                {"image.normalization", "clip"},
                {"text.repair", "false"},
                {"text.special_tokens", "both"}};

err settings_init_recorded(settings *s) {
  err error = settings_init(s);
  if (error) return error;
  for (size_t i = 0; i < sizeof recorded / sizeof *recorded && !error; i++)
    error = setting_assign(settings_find(recorded[i].key), s, recorded[i].value);
  if (error) settings_free(s);
  return error;
}

/* Settings of contrastive training, which a classifier does not use. */
static bool is_contrastive(const char *key) {
  static const char *const keys[] = {
      "embed_dim",           "temperature",        "temperature_learned", "logit_scale_max",
      "normalize",           "loss_direction",     "text_mask_ratio",     "text_mask_mode",
      "text_mask_lexicon",   "data.train",         "eval.probe_train",    "eval.probe_epochs",
      "eval.probe_features", "text_mask_positions"};
  if (strncmp(key, "text.", 5) == 0) return true;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (strcmp(key, keys[i]) == 0) return true;
  return false;
}

bool setting_is_idle(const setting *row, const settings *s) {
  bool is_classifier = s->classification_classes > 0;
  if (strncmp(row->key, "classification.", 15) == 0) {
    bool is_augmentation = strncmp(row->key, "classification.augment_", 23) == 0;
    if (strcmp(row->key, "classification.mix_batch") == 0) return !settings_is_mixing(s);
    return !is_classifier || (is_augmentation && s->classification_augment_magnitude == 0);
  }
  if (is_classifier && is_contrastive(row->key)) return true;
  if (strcmp(row->key, "eval.probe_epochs") == 0 || strcmp(row->key, "eval.probe_features") == 0)
    return !*s->eval_probe_train;
  if (strcmp(row->key, "text_mask_positions") == 0) return !settings_draws_text(s);
  if (strcmp(row->key, "text_mask_lexicon") == 0) return s->text_mask_mode != TEXT_MASK_SYNTAX;
  if (strncmp(row->key, "attentive.", 10) == 0) return !settings_is_attentive(s);
  /* an evaluation's batch decides how its operands are rounded to 8 bits, and how many images are
   * scored at once: a library may choose another product for another shape */
  if (strcmp(row->key, "eval.batch_size") == 0)
    return s->precision != PRECISION_FP8 && !settings_is_attentive(s);
  if (strcmp(row->key, "fp8_scaling") == 0) return s->precision != PRECISION_FP8;
  bool is_decoder = strncmp(row->key, "reconstruction.", 15) == 0;
  if (is_decoder) return s->reconstruction_weight == 0;
  return strcmp(row->key, "text.repair") == 0 && s->text_tokenizer != TOKENIZER_BPE;
}

/* True when both have the same number: a shortcut for most settings that avoids formatting. False
 * decides nothing. */
static bool is_same_number(const setting *row, const settings *a, const settings *b) {
  const size_t bytes = row->type == SETTING_INT || row->type == SETTING_LEVEL ? sizeof(int64_t)
                       : row->type == SETTING_REAL                            ? sizeof(double)
                       : row->type == SETTING_BOOL                            ? sizeof(bool)
                       : row->type == SETTING_PICK                            ? sizeof(int)
                                                                              : 0;
  return bytes && memcmp((const char *)a + row->offset, (const char *)b + row->offset, bytes) == 0;
}

err settings_fingerprint(const settings *s, char digest[HASH_SIZE]) {
  size_t count;
  settings defaults;
  const setting *table = settings_table(&count);
  strbuf canonical = {0};
  err error = settings_init_recorded(&defaults);
  if (error) return error;
  strbuf_format(&canonical, "identity: %d\n", IDENTITY_VERSION);
  for (size_t i = 0; i < count && !error; i++) {
    strbuf value = {0}, initial = {0};
    if (!table[i].is_identity || is_same_number(&table[i], s, &defaults)) continue;
    setting_format(&table[i], s, &value);
    setting_format(&table[i], &defaults, &initial);
    if (!setting_is_idle(&table[i], s) &&
        strcmp(strbuf_string(&value), strbuf_string(&initial)) != 0)
      strbuf_format(&canonical, "%s: %s\n", table[i].key, strbuf_string(&value));
    if (value.is_broken || initial.is_broken) error = mem_error(0, "the settings' identity");
    strbuf_free(&value);
    strbuf_free(&initial);
  }
  if (!error && canonical.is_broken) error = mem_error(0, "the settings' identity");
  if (!error) hash_bytes(canonical.data, canonical.length, digest);
  strbuf_free(&canonical);
  settings_free(&defaults);
  return error;
}

err settings_digest_shared(const settings *s, char digest[HASH_SIZE]) {
  settings common = *s; /* shallow: only numbers are changed */
  strbuf text = {0};
  common.threads = common.data_workers = common.data_prefetch = common.data_cache_mib = 1;
  settings_write_yaml(&common, &text);
  err error = text.is_broken ? mem_error(text.length, "the settings") : NULL;
  if (!error) hash_bytes(text.data, text.length, digest);
  strbuf_free(&text);
  return error;
}
