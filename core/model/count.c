#include "model/count.h"

#include <string.h>

#include "base/processor.h"
#include "model/attentive.h"
#include "model/mask.h"
#include "model/reconstruction.h"

/* Forward FLOPs of the blocks' dense layers and of attention, one sample. */
static void count_blocks(const tower_shape *t, int64_t tokens, double *dense, double *attention) {
  double n = (double)tokens, w = (double)t->width, hidden = (double)t->hidden;
  *dense = (double)t->layers * 2 * n * (4 * w * w + 2 * w * hidden);
  *attention = (double)t->layers * 4 * n * n * w;
}

/* Of one sample's blocks that keep only their input: all but their last product. */
static double count_recomputed(const tower_shape *t, int64_t tokens) {
  tower_shape some = *t;
  double dense, attention;
  if (some.layers > t->recompute) some.layers = t->recompute;
  count_blocks(&some, tokens, &dense, &attention);
  return dense + attention -
         2 * (double)some.layers * (double)tokens * (double)t->width * (double)t->hidden;
}

/* Forward FLOPs of one sample's decoder: its embedding, its blocks, its predictions. */
static double count_reconstruction(const clip_config *c, const clip_limits *l,
                                   const clip_types *types) {
  const reconstruction_extent e = reconstruction_extent_of(c, l, types);
  double width = (double)c->reconstruction.width, dense, attention;
  count_blocks(&c->reconstruction, e.tokens, &dense, &attention);
  return 2 * width *
             ((double)e.encoded * (double)c->image.width + (double)e.dropped * (double)e.pixels) +
         dense + attention;
}

static int64_t count_errors(const clip_config *c, const clip_limits *l, const clip_types *types) {
  reconstruction_buffers b;
  ops_block block = {0};
  reconstruction_lay_out(&b, c, l, types, &block);
  return b.error_count;
}

clip_limits model_limits(const settings *s) {
  int64_t side = s->image_size / s->image_patch;
  mask_config mask = {s->mask_mode, s->mask_ratio, side, s->mask_replacement};
  /* of one of several ranks the batch may be smaller than micro_batch_size */
  bool is_divided = s->micro_batch_size > 0 && s->micro_batch_size < s->batch_size;
  return (clip_limits){.batch = s->batch_size,
                       .micro_batch = is_divided ? s->micro_batch_size : s->batch_size,
                       .train_patches = mask_encoded_count(&mask),
                       .train_words = settings_text_tokens(s),
                       .eval_batch = s->eval_batch_size,
                       .eval_patches = mask_keep_count(side * side, s->eval_mask_ratio)};
}

ops_type model_compute_type(const settings *s, bool is_on_cpu) {
  if (s->precision == PRECISION_AUTO && is_on_cpu) return processor_has_bf16() ? OPS_BF16 : OPS_F32;
  return s->precision == PRECISION_FP32 ? OPS_F32 : OPS_BF16;
}

int64_t model_published_vocabulary(const settings *s) {
  return s->text_tokenizer == TOKENIZER_WORDPIECE ? BERT_VOCABULARY : CLIP_VOCABULARY;
}

err model_count(const settings *s, int64_t vocabulary, ops_type compute, int64_t chunk_bytes,
                model_counts *c) {
  clip_limits limits = model_limits(s);
  return model_count_of(s, vocabulary, &limits, compute, chunk_bytes, c);
}

/* Of two moments: of rank 0's slices if they are sharded. */
static uint64_t optimizer_bytes(const settings *s, const model_counts *c, int ranks) {
  int64_t elements = c->gradient_elements;
  if (s->optimizer_shard && ranks > 1)
    elements = comm_own_elements(elements, c->gradient_border,
                                 s->comm_bucket_bytes / (int64_t)sizeof(float), ranks, 0);
  return 2 * (uint64_t)elements * (s->optimizer_moments == OPTIMIZER_MOMENTS_BF16 ? 2 : 4);
}

err model_count_of(const settings *s, int64_t vocabulary, const clip_limits *given,
                   ops_type compute, int64_t chunk_bytes, model_counts *c) {
  clip_config config;
  clip_limits limits = *given;
  param_table table = {0};
  clip_config_from(s, vocabulary, &config);
  err error = clip_declare(&config, &table);
  if (error) return error;
  memset(c, 0, sizeof *c);
  for (size_t i = 0; i < table.count; i++) {
    const param *p = &table.items[i];
    int64_t *part = strncmp(p->name, "image.", 6) == 0             ? &c->parameters_image
                    : strncmp(p->name, "text.", 5) == 0            ? &c->parameters_text
                    : strncmp(p->name, "reconstruction.", 15) == 0 ? &c->parameters_reconstruction
                                                                   : &c->parameters_head;
    *part += param_elements(p);
    c->parameters_total += param_elements(p);
  }
  c->patches = config.patches;
  c->encoded_patches = limits.train_patches;
  c->image_tokens = limits.train_patches + config.has_class_token;
  c->text_tokens = config.classes ? 0 : limits.train_words;
  double pixels = 3.0 * (double)(config.patch * config.patch), width = (double)config.image.width;
  double embed = (double)config.image.embed;
  c->image_embed = 2 * (double)limits.train_patches * pixels * width;
  count_blocks(&config.image, c->image_tokens, &c->image_dense, &c->image_attention);
  c->image_projection = 2 * width * embed;
  count_blocks(&config.text, limits.train_words, &c->text_dense, &c->text_attention);
  c->text_projection = 2 * (double)config.text.width * embed;
  c->forward_image = c->image_embed + c->image_dense + c->image_attention + c->image_projection;
  c->forward_text = c->text_dense + c->text_attention + c->text_projection;
  double dense, attention;
  count_blocks(&config.image, config.patches + config.has_class_token, &dense, &attention);
  c->forward_image_unmasked =
      2 * (double)config.patches * pixels * width + dense + attention + c->image_projection;
  c->recomputed = count_recomputed(&config.image, c->image_tokens) +
                  count_recomputed(&config.text, limits.train_words);
  const bool is_narrow = compute == OPS_BF16 && s->precision == PRECISION_FP8;
  /* scales are of whole operands, so that products in 8 bits are not divided into chunks */
  const clip_types types = {compute, OPS_F32, is_narrow ? 0 : chunk_bytes, is_narrow};
  c->gradient_elements = table.total;
  c->gradient_border = table.decayed;
  c->scale_floats = types.is_narrow && config.delays_scales ? clip_scale_floats(&config) : 0;
  c->reconstruction_errors = count_errors(&config, &limits, &types);
  c->forward_reconstruction = count_reconstruction(&config, &limits, &types);
  if (config.scored_size) c->forward_scoring = attentive_flops(&config);
  c->train_sample =
      3 * (c->forward_image + c->forward_text + c->forward_reconstruction) + c->forward_scoring;
  /* logits once, and the two products of their gradient */
  c->logits_batch =
      config.classes ? 0 : 3 * 2 * (double)limits.batch * (double)limits.batch * embed;
  clip_plan(&config, &limits, &types, &table, true, &c->memory);
  c->optimizer_bytes = optimizer_bytes(s, c, limits.ranks);
  c->planned_bytes = clip_memory_total(&c->memory) + c->optimizer_bytes;
  param_table_free(&table);
  return error;
}

model_host_bytes model_beside_plan(const settings *s, const model_counts *c) {
  const uint64_t side = (uint64_t)s->image_size, batch = (uint64_t)s->batch_size;
  /* pixels; ids, counts, rows and numbers */
  const uint64_t sample = 3 * side * side + 4 * (uint64_t)c->text_tokens + 20;
  /* weights and two moments in fp32, and the average tower of attentive masking */
  const int64_t floats =
      3 * c->parameters_total + (settings_is_attentive(s) ? c->parameters_image : 0);
  return (model_host_bytes){.batches = ((uint64_t)s->data_prefetch + 1) * batch * sample,
                            .checkpoint = 4 * (uint64_t)floats};
}
