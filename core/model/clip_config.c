/* Derives the model's shape and its tensors from the settings. */
#include <math.h>
#include <string.h>

#include "model/clip_inside.h"

static int64_t recomputed_blocks(int64_t level) {
  return level == RECOMPUTE_BLOCKS ? INT64_MAX : level > 0 ? level : 0;
}

static tower_recompute recompute_level_of(int64_t level) {
  return level == RECOMPUTE_NORMS         ? TOWER_RECOMPUTE_NORMS
         : level == RECOMPUTE_ACTIVATIONS ? TOWER_RECOMPUTE_ACTIVATIONS
                                          : TOWER_KEEP_ALL;
}

/* Only the image tower; its features are the classes' logits. */
static void make_classifier(const settings *s, clip_config *c) {
  c->classes = s->classification_classes;
  c->drop_path = s->classification_drop_path;
  c->normalizes = false;
  c->text_dropout = 0;
  c->has_padding_mask = false;
  c->has_text_places = false;
  c->text_pool = TEXT_POOL_FIRST;
  c->vocabulary = 0;
  c->text = (tower_shape){0};
  c->reconstruction_weight = 0;
  c->image.embed = c->classes;
  c->image.is_classifier = true;
}

void clip_config_from(const settings *s, int64_t vocabulary, clip_config *c) {
  static const float means[4][3] = {
      {0.48145466f, 0.4578275f, 0.40821073f}, {0.5f, 0.5f, 0.5f}, {0.485f, 0.456f, 0.406f}, {0}};
  static const float deviations[4][3] = {{0.26862954f, 0.26130258f, 0.27577711f},
                                         {0.5f, 0.5f, 0.5f},
                                         {0.229f, 0.224f, 0.225f},
                                         {1, 1, 1}};
  int64_t side = s->image_size / s->image_patch;
  *c = (clip_config){
      .seed = (uint64_t)s->seed,
      .image_dropout = s->image_dropout,
      .text_dropout = s->text_dropout,
      .normalizes = s->normalize,
      .delays_scales = s->precision == PRECISION_FP8 && s->fp8_scaling == FP8_SCALING_DELAYED,
      .learns_scale = s->temperature_learned,
      .loss_direction = s->loss_direction,
      .has_padding_mask = s->text_padding_mask,
      .image_size = s->image_size,
      .patch = s->image_patch,
      .patches = side * side,
      .has_class_token = s->image_class_token,
      .has_learned_positions = s->image_position == POSITION_LEARNED,
      .has_pre_norm = s->image_pre_norm,
      .has_patch_bias = s->image_patch_bias,
      .text_length = s->text_length,
      .has_text_places = settings_masks_in_place(s),
      .vocabulary = settings_vocabulary_rows(s, vocabulary),
      .text_pool = s->text_pool,
      .image = {.width = s->image_width,
                .layers = s->image_layers,
                .heads = s->image_heads,
                .hidden = settings_hidden_width(s->image_width, s->image_mlp_ratio),
                .embed = s->embed_dim,
                .norm_eps = s->image_norm_eps,
                .activation = (ops_activation)s->image_activation,
                .pooling = s->image_pool == IMAGE_POOL_MEAN ? OPS_POOL_MEAN : OPS_POOL_INDEX,
                .recompute = recomputed_blocks(s->image_recompute),
                .recompute_level = recompute_level_of(s->image_recompute)},
      .text = {.width = s->text_width,
               .layers = s->text_layers,
               .heads = s->text_heads,
               .hidden = settings_hidden_width(s->text_width, s->text_mlp_ratio),
               .embed = s->embed_dim,
               .norm_eps = s->text_norm_eps,
               .activation = (ops_activation)s->text_activation,
               .is_causal = s->text_causal,
               .is_post_norm = s->text_post_norm,
               .pooling = s->text_pool == TEXT_POOL_MEAN ? OPS_POOL_MEAN : OPS_POOL_INDEX,
               .recompute = recomputed_blocks(s->text_recompute),
               .recompute_level = recompute_level_of(s->text_recompute)},
      .temperature = s->temperature,
      .logit_scale_max = s->logit_scale_max,
      .reconstruction_weight = s->reconstruction_weight,
      .reconstruction = {.width = s->reconstruction_width,
                         .layers = s->reconstruction_layers,
                         .heads = s->reconstruction_heads,
                         .hidden = 4 * s->reconstruction_width,
                         .embed = 3 * s->image_patch * s->image_patch,
                         .norm_eps = s->image_norm_eps,
                         .activation = (ops_activation)s->image_activation,
                         .pooling = OPS_POOL_INDEX}};
  if (settings_is_attentive(s))
    c->scored_size = s->attentive_size ? s->attentive_size : s->image_size;
  if (s->classification_classes > 0) make_classifier(s, c);
  memcpy(c->mean, means[s->image_normalization], sizeof c->mean);
  memcpy(c->deviation, deviations[s->image_normalization], sizeof c->deviation);
}

err clip_declare_towers(const clip_config *c, param_table *table, tower *image, tower *text,
                        reconstruction_head *head) {
  image_front_declare(c, table);
  err error = tower_declare(image, &c->image, "image", table);
  if (error) return error;
  if (c->classes) return param_table_lay_out(table);
  text_front_declare(c, table);
  error = tower_declare(text, &c->text, "text", table);
  if (error) return error;
  /* decayed as in FLIP's released code; a fixed one must not move */
  param_table_add(table, "logit_scale", 0, 1, c->learns_scale, PARAM_CONSTANT,
                  log(1.0 / c->temperature));
  /* last, so that the other tensors are initialised identically with and without it */
  error = reconstruction_declare(head, c, table);
  return error ? error : param_table_lay_out(table);
}

err clip_declare(const clip_config *config, param_table *table) {
  tower image = {0}, text = {0};
  reconstruction_head head = {0};
  err error = clip_declare_towers(config, table, &image, &text, &head);
  tower_free(&image);
  tower_free(&text);
  tower_free(&head.decoder);
  return error;
}
