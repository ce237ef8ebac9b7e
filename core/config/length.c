/* How long a run is. FLIP's released code counts in "virtual epochs" of 1,281,167 samples, each
 * floored to whole updates: 1,281,167 / 65,536 = 19 updates, so 10,000 epochs are 190,000. */
#include "config/settings.h"

static int64_t epochs_to_updates(const settings *s, double epochs, int64_t data_samples) {
  if (s->epoch_samples > 0)
    return (int64_t)(epochs * (double)(s->epoch_samples / s->batch_size) + 0.5);
  return (int64_t)(epochs * (double)data_samples / (double)s->batch_size + 0.5);
}

settings_length settings_length_of(const settings *s, int64_t data_samples) {
  settings_length l = {.warmup = s->warmup_samples / s->batch_size};
  bool is_known = s->epoch_samples > 0 || data_samples > 0;
  if (s->samples > 0)
    l.updates = (int64_t)((double)s->samples / (double)s->batch_size + 0.5);
  else
    l.updates = epochs_to_updates(s, s->epochs, data_samples);
  if (l.updates < 1 && (s->samples > 0 || is_known)) l.updates = 1;
  if (s->warmup_epochs > 0) l.warmup = epochs_to_updates(s, s->warmup_epochs, data_samples);
  if (l.warmup > l.updates) l.warmup = l.updates;
  return l;
}

bool settings_knows_warmup(const settings *s, int64_t data_samples) {
  return !(s->warmup_epochs > 0) || s->epoch_samples > 0 || data_samples > 0;
}

int64_t settings_vocabulary_rows(const settings *s, int64_t entries) {
  return s->text_vocabulary_rows > 0 ? s->text_vocabulary_rows : entries;
}

bool settings_suit_ranks(const settings *s, int64_t ranks) {
  bool has_pairs = ranks > 1 && settings_is_mixing(s);
  return s->batch_size % (has_pairs ? 2 * ranks : ranks) == 0;
}

bool settings_is_mixing(const settings *s) {
  return s->classification_classes > 0 &&
         (s->classification_mixup > 0 || s->classification_cutmix > 0);
}

int64_t settings_mix_batch(const settings *s) {
  int64_t group = s->classification_mix_batch;
  return group > 0 && group < s->batch_size ? group : s->batch_size;
}

int64_t settings_mirrored(const settings *s, int64_t ranks) {
  int64_t group = settings_mix_batch(s);
  return settings_is_mixing(s) && (ranks > 1 || group < s->batch_size) ? group : 0;
}
