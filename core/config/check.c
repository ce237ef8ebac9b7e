/* Constraints between settings, which the rows of the settings table cannot express. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "config/settings.h"

static err check_tower(const char *name, int64_t width, int64_t heads, double mlp_ratio) {
  if (width % heads)
    return err_new(ERR_INPUT, "%s.heads: %" PRId64 " does not divide %s.width %" PRId64, name,
                   heads, name, width);
  if (settings_hidden_width(width, mlp_ratio) < 1)
    return err_new(ERR_INPUT, "%s.mlp_ratio: %g of %s.width %" PRId64 " leaves the MLP no width",
                   name, mlp_ratio, name, width);
  return NULL;
}

/* A ratio that came from dividing two widths must give the width back: 8192 / 1664 * 1664. */
int64_t settings_hidden_width(int64_t width, double mlp_ratio) {
  return (int64_t)((double)width * mlp_ratio + 1e-6);
}

int64_t settings_text_tokens(const settings *s) {
  if (s->text_mask_mode == TEXT_MASK_NONE) return s->text_length;
  return (int64_t)((double)s->text_length * (1 - s->text_mask_ratio));
}

bool settings_draws_text(const settings *s) {
  return s->text_mask_mode != TEXT_MASK_NONE && s->text_mask_mode != TEXT_MASK_TRUNCATE;
}

bool settings_masks_in_place(const settings *s) {
  return settings_draws_text(s) && s->text_mask_positions == TEXT_POSITIONS_ORIGINAL;
}

static err check_text_mask(const settings *s) {
  int64_t tokens = settings_text_tokens(s);
  if (s->text_mask_mode == TEXT_MASK_NONE && s->text_mask_ratio > 0)
    return err_new(ERR_INPUT,
                   "text_mask_ratio: %g drops nothing with text_mask_mode: none; set "
                   "text_mask_mode, or leave the ratio at 0",
                   s->text_mask_ratio);
  bool has_ends = s->text_special_tokens == SPECIAL_TOKENS_BOTH;
  if (has_ends && s->text_length < 3)
    return err_new(ERR_INPUT,
                   "text.length: %" PRId64
                   " has no room for a word between the start and end tokens "
                   "(text.special_tokens: both); at least 3 is needed",
                   s->text_length);
  if (s->text_mask_mode != TEXT_MASK_NONE && tokens < (has_ends ? 3 : 1))
    return err_new(ERR_INPUT, "text_mask_ratio: %g leaves %" PRId64 " of %" PRId64 " tokens; %s",
                   s->text_mask_ratio, tokens, s->text_length,
                   has_ends ? "at least three are needed: the first, the last and a word"
                            : "at least one is needed");
  return NULL;
}

static err check_words(const settings *s) {
  if (s->text_pool == TEXT_POOL_EOT && s->text_special_tokens == SPECIAL_TOKENS_NONE)
    return err_new(
        ERR_INPUT,
        "text.pool: eot needs text.special_tokens: both, which adds an end-of-text token");
  return NULL;
}

static int64_t patches_of(const settings *s) {
  int64_t grid = s->image_size / s->image_patch;
  return grid * grid;
}

/* As many patches as published code keeps: at least one must be left. */
static err check_ratio(const char *name, double ratio, int64_t patches) {
  if ((double)patches * (1 - ratio) >= 1) return NULL;
  return err_new(ERR_INPUT, "%s: %g leaves 0 of %" PRId64 " patches; at least one is needed", name,
                 ratio, patches);
}

err settings_check_views(int64_t patches, int64_t keep, double mask_ratio) {
  if (keep == patches)
    return err_new(ERR_INPUT, "eval.views: complementary views need eval.mask_ratio above 0");
  if (patches % keep == 0) return NULL;
  return err_new(ERR_INPUT,
                 "eval.views: %" PRId64 " patches do not divide into views of %" PRId64
                 " (eval.mask_ratio %g); choose a ratio such as 0.5 or 0.75",
                 patches, keep, mask_ratio);
}

/* Found now, not after the training (views_plan in eval/views.c). */
static err check_views(const settings *s) {
  if (s->eval_views != EVAL_VIEWS_COMPLEMENTARY || s->classification_classes > 0) return NULL;
  int64_t patches = patches_of(s);
  int64_t keep = (int64_t)((double)patches * (1 - s->eval_mask_ratio));
  return settings_check_views(patches, keep, s->eval_mask_ratio);
}

static err check_mask(const settings *s) {
  int64_t patches = patches_of(s);
  err error = check_ratio("mask_ratio", s->mask_ratio, patches);
  if (!error) error = check_ratio("eval.mask_ratio", s->eval_mask_ratio, patches);
  return error ? error : check_views(s);
}

/* Predictions are placed by patch position, and there must be dropped patches to predict. */
static err check_reconstruction(const settings *s) {
  double patches = (double)patches_of(s);
  if (s->reconstruction_weight == 0) return NULL;
  if (s->mask_mode == MASK_ZERO || floor(patches * (1 - s->mask_ratio)) == patches)
    return err_new(ERR_INPUT,
                   "reconstruction.weight: %g needs dropped patches to predict: set a mask_ratio "
                   "and a mask_mode other than zero, or leave reconstruction.weight at 0",
                   s->reconstruction_weight);
  if (s->reconstruction_width % 4)
    return err_new(ERR_INPUT,
                   "reconstruction.width: %" PRId64
                   " is not a multiple of 4, which its sine-cosine "
                   "positions need",
                   s->reconstruction_width);
  return check_tower("reconstruction", s->reconstruction_width, s->reconstruction_heads, 4);
}

/* Scores are of whole patches, and cells of whole cells. */
static err check_attentive(const settings *s) {
  int64_t size = s->attentive_size, grid = s->image_size / s->image_patch;
  if (!settings_is_attentive(s)) return NULL;
  if (size > s->image_size || size % s->image_patch)
    return err_new(ERR_INPUT,
                   "attentive.size: %" PRId64 " must be a multiple of image.patch %" PRId64
                   " and at most image.size %" PRId64,
                   size, s->image_patch, s->image_size);
  if (grid % s->attentive_cell)
    return err_new(ERR_INPUT,
                   "attentive.cell: %" PRId64 " does not divide the %" PRId64 " patches of a row",
                   s->attentive_cell, grid);
  if (s->attentive_cell == grid || size == s->image_patch)
    return err_new(ERR_INPUT,
                   "%s: %" PRId64
                   " gives all patches one score, so that the same ones are kept of every image; "
                   "choose a %s value",
                   size == s->image_patch ? "attentive.size" : "attentive.cell",
                   size == s->image_patch ? size : s->attentive_cell,
                   size == s->image_patch ? "larger" : "smaller");
  return NULL;
}

err settings_check_model(const settings *s) {
  if (s->image_size % s->image_patch)
    return err_new(ERR_INPUT, "image.patch: %" PRId64 " does not divide image.size %" PRId64,
                   s->image_patch, s->image_size);
  if (s->image_resize_to && s->image_resize_to < s->image_size)
    return err_new(ERR_INPUT, "image.resize_to: %" PRId64 " is below image.size %" PRId64,
                   s->image_resize_to, s->image_size);
  err error = check_tower("image", s->image_width, s->image_heads, s->image_mlp_ratio);
  if (!error) error = check_tower("text", s->text_width, s->text_heads, s->text_mlp_ratio);
  if (!error) error = check_words(s);
  if (!error) error = check_reconstruction(s);
  if (!error) error = check_attentive(s);
  if (error) return error;
  if (s->image_pool == IMAGE_POOL_CLASS && !s->image_class_token)
    return err_new(ERR_INPUT, "image.pool: class needs image.class_token: true");
  if (s->image_position == POSITION_SINCOS && s->image_width % 4)
    return err_new(ERR_INPUT,
                   "image.width: %" PRId64 " is not a multiple of 4, which "
                   "image.position: sincos needs",
                   s->image_width);
  if (s->mask_replacement && s->mask_mode != MASK_ZERO)
    return err_new(ERR_INPUT, "mask_replacement: only mask_mode: zero, where every patch is "
                              "encoded, can drop a varying number of patches");
  return NULL;
}

err settings_check_vocabulary(const settings *s, int64_t entries) {
  if (settings_vocabulary_rows(s, entries) >= entries) return NULL;
  return err_new(ERR_INPUT,
                 "text.vocabulary_rows: %" PRId64 " are fewer than the %" PRId64 " entries of %s",
                 s->text_vocabulary_rows, entries,
                 *s->text_vocabulary ? s->text_vocabulary : "the vocabulary");
}

static err check_length(const settings *s) {
  if (s->samples > 0 && s->epochs > 0)
    return err_new(ERR_INPUT, "give one of samples and epochs (samples %" PRId64 ", epochs %g)",
                   s->samples, s->epochs);
  if (s->warmup_samples > 0 && s->warmup_epochs > 0)
    return err_new(ERR_INPUT,
                   "give one of warmup_samples and warmup_epochs (warmup_samples %" PRId64
                   ", warmup_epochs %g)",
                   s->warmup_samples, s->warmup_epochs);
  if (s->epoch_samples > 0 && s->epoch_samples < s->batch_size)
    return err_new(ERR_INPUT,
                   "epoch_samples: %" PRId64 " are fewer than one batch_size of %" PRId64
                   ", so an epoch has no update",
                   s->epoch_samples, s->batch_size);
  return NULL;
}

static err check_recipe(const settings *s) {
  if (s->recipe == SETTINGS_RECIPE) return NULL;
  return err_new(ERR_INPUT,
                 "recipe: these settings use recipe %" PRId64
                 ", this version trains with recipe %d (docs/decisions.md): repeat the run with "
                 "the version that made it, or train from scratch with --set recipe=%d",
                 s->recipe, SETTINGS_RECIPE, SETTINGS_RECIPE);
}

/* Settings that the streaming order does not support, by name. */
static err check_order(const settings *s) {
  if (s->data_order == DATA_ORDER_EXACT)
    return s->data_buffer == strtoll(settings_find("data.buffer")->initial, NULL, 10)
               ? NULL
               : err_new(ERR_INPUT,
                         "data.buffer: %" PRId64
                         " has no effect with data.order: exact, which shuffles all samples; "
                         "remove it, or set data.order: stream",
                         s->data_buffer);
  if (s->data_resample)
    return err_new(ERR_INPUT, "data.resample: true draws from all samples at any time, which needs "
                              "data.order: exact");
  if (s->text_mask_mode == TEXT_MASK_FREQUENCY)
    return err_new(ERR_INPUT, "text_mask_mode: frequency counts the tokens of captions before "
                              "training, which needs data.order: exact");
  return NULL;
}

/* Pairs are mixed within a group, which a batch must have whole. */
static err check_mixing(const settings *s) {
  int64_t group = s->classification_mix_batch;
  if (!group || group >= s->batch_size || !settings_is_mixing(s)) return NULL;
  if (group % 2)
    return err_new(ERR_INPUT,
                   "classification.mix_batch: %" PRId64
                   " is odd, and images are mixed in pairs; set an even number, or 0 for the whole "
                   "batch",
                   group);
  if (s->batch_size % group)
    return err_new(ERR_INPUT,
                   "classification.mix_batch: %" PRId64 " does not divide batch_size %" PRId64
                   "; set a divisor, or 0 for the whole batch",
                   group, s->batch_size);
  return NULL;
}

/* A classifier sees whole images and has no other loss. */
static err check_classification(const settings *s) {
  if (s->classification_classes == 1)
    return err_new(ERR_INPUT, "classification.classes: 1 leaves nothing to tell apart; give 2 or "
                              "more, or 0 for contrastive training");
  if (s->mask_ratio > 0 || s->eval_mask_ratio > 0)
    return err_new(ERR_INPUT,
                   "%s: %g with classification.classes: %" PRId64
                   "; a classifier is trained and measured on whole images: set it to 0",
                   s->mask_ratio > 0 ? "mask_ratio" : "eval.mask_ratio",
                   s->mask_ratio > 0 ? s->mask_ratio : s->eval_mask_ratio,
                   s->classification_classes);
  if (s->mask_mode == MASK_ZERO)
    return err_new(ERR_INPUT, "mask_mode: zero with classification.classes; set mask_mode: random");
  if (s->data_order == DATA_ORDER_STREAM)
    return err_new(ERR_INPUT,
                   "data.order: stream with classification.classes; the set's images are "
                   "read in the exact order: set data.order: exact");
  if (s->reconstruction_weight > 0)
    return err_new(ERR_INPUT,
                   "reconstruction.weight: %g with classification.classes: nothing is "
                   "dropped that could be reconstructed; set it to 0",
                   s->reconstruction_weight);
  return check_mixing(s);
}

/* In a causal tower a token attends to those before it, of which the first has none. */
static err check_pooled_token(const settings *s) {
  if (!s->text_causal || s->text_pool != TEXT_POOL_FIRST) return NULL;
  return err_new(ERR_INPUT,
                 "text.pool: first with text.causal: true pools a token that attends to no other: "
                 "%s; set text.pool to mean%s, or text.causal: false",
                 s->text_special_tokens == SPECIAL_TOKENS_BOTH
                     ? "the start token, which is the same in every caption"
                     : "of each caption only its first word piece",
                 s->text_special_tokens == SPECIAL_TOKENS_BOTH ? " or eot" : "");
}

/* Checks the settings that only contrastive training uses. */
static err check_pairs(const settings *s) {
  if (!*s->text_vocabulary)
    return err_new(ERR_INPUT, "text.vocabulary is empty: name a vocab.txt ('flip tokenizer train' "
                              "makes one from captions)");
  if (s->data_train.count == 0)
    return err_new(ERR_INPUT, "data.train is empty: name the training shards");
  if (*s->eval_probe_train && (!s->eval_sets.count || !s->eval_points))
    return err_new(
        ERR_INPUT,
        "eval.probe_train: the probe is measured on the first of eval.sets with the last "
        "evaluation, and %s",
        s->eval_sets.count ? "eval.points is 0" : "eval.sets is empty");
  return NULL;
}

err settings_check_step(const settings *s) {
  err error = settings_check_model(s);
  if (!error) error = check_mask(s);
  if (!error) error = check_length(s);
  if (error) return error;
  if (s->micro_batch_size && s->batch_size % s->micro_batch_size)
    return err_new(ERR_INPUT, "micro_batch_size: %" PRId64 " does not divide batch_size %" PRId64,
                   s->micro_batch_size, s->batch_size);
  if (s->data_crop_min > s->data_crop_max)
    return err_new(ERR_INPUT, "data.crop_min %g is above data.crop_max %g", s->data_crop_min,
                   s->data_crop_max);
  if (s->data_ratio_min > s->data_ratio_max)
    return err_new(ERR_INPUT, "data.ratio_min %g is above data.ratio_max %g", s->data_ratio_min,
                   s->data_ratio_max);
  if (s->classification_classes > 0) return check_classification(s);
  error = check_order(s);
  if (!error) error = check_pooled_token(s);
  return error ? error : check_text_mask(s);
}

err settings_check(const settings *s) {
  err error = check_recipe(s);
  return error ? error : settings_check_shown(s);
}

err settings_check_shown(const settings *s) {
  err error = settings_check_step(s);
  if (error) return error;
  if (!(s->samples > 0) && !(s->epochs > 0))
    return err_new(ERR_INPUT, "give one of samples and epochs (samples %" PRId64 ", epochs %g)",
                   s->samples, s->epochs);
  if (s->classification_classes > 0 && !*s->classification_train)
    return err_new(ERR_INPUT, "classification.train is empty: name the set (YAML, as in eval.sets) "
                              "whose images and labels are trained on");
  return s->classification_classes > 0 ? NULL : check_pairs(s);
}
