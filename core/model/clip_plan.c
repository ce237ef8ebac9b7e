/* Computes how much memory a model takes, and divides that memory into buffers: one function for
 * both. */
#include "model/clip_inside.h"

/* The purpose of activations. */
typedef struct {
  int64_t batch, patches, words;
  bool is_kept;
} use;

static int ranks_of(const clip_limits *l) {
  return l->ranks > 1 ? l->ranks : 1;
}

static use training(const clip_limits *l, bool is_kept) {
  return (use){l->micro_batch, l->train_patches, l->train_words, is_kept};
}

static use evaluation(const clip_config *c, const clip_limits *l) {
  return (use){l->eval_batch, l->eval_patches, c->text_length, false};
}

static bool is_device(const clip_types *types) {
  return types->chunk_bytes == 0;
}

static tower_extent extent_of(const tower_shape *shape, const clip_types *types, const use *u,
                              int64_t tokens) {
  return (tower_extent){
      .batch = u->batch,
      .tokens = tokens,
      .chunk = tower_chunk(shape, tokens, u->batch, types->compute, types->chunk_bytes),
      .is_kept = u->is_kept,
      .gives_outputs = !is_device(types),
      .compute = types->compute,
      .master = types->master,
      .is_narrow = types->is_narrow};
}

static void cut_images(clip_activations *a, const clip_config *c, const clip_types *types,
                       const use *u, ops_block *block) {
  const tower_extent image = extent_of(&c->image, types, u, u->patches + c->has_class_token);
  tower_lay_out(&a->image, &c->image, &image, block);
  image_front_lay_out(&a->front, c, &image, block);
}

static void cut_texts(clip_activations *a, const clip_config *c, const clip_types *types,
                      const use *u, ops_block *block) {
  if (c->classes) return;
  const tower_extent text = extent_of(&c->text, types, u, u->words);
  tower_lay_out(&a->text, &c->text, &text, block);
}

static void cut_activations(clip_activations *a, const clip_config *c, const clip_types *types,
                            use u, ops_block *block) {
  cut_images(a, c, types, &u, block);
  cut_texts(a, c, types, &u, block);
}

static size_t activation_bytes(const clip_config *c, const clip_types *types, use u) {
  clip_activations a;
  ops_block block = {0};
  cut_activations(&a, c, types, u, &block);
  return block.used;
}

static size_t images_bytes(const clip_config *c, const clip_limits *l, const clip_types *types) {
  clip_activations a;
  ops_block block = {0};
  const use u = evaluation(c, l);
  cut_images(&a, c, types, &u, &block);
  return block.used;
}

static size_t texts_bytes(const clip_config *c, const clip_limits *l, const clip_types *types,
                          int64_t batch) {
  clip_activations a;
  ops_block block = {0};
  use u = evaluation(c, l);
  u.batch = batch;
  cut_texts(&a, c, types, &u, &block);
  return block.used;
}

/* A text is shorter than an image, so that a batch of texts is too little work for a device: it is
 * the multiple of the images' batch whose activations need no more memory than theirs. */
int64_t clip_plan_texts(const clip_config *c, const clip_limits *l, const clip_types *types) {
  enum { MOST = 16 };
  int64_t times = 1;
  if (c->classes || !is_device(types)) return l->eval_batch;
  const size_t most = images_bytes(c, l, types);
  while (times < MOST && texts_bytes(c, l, types, (times + 1) * l->eval_batch) <= most) times++;
  return times * l->eval_batch;
}

/* Images and texts are encoded one after the other. */
static size_t evaluation_bytes(const clip_config *c, const clip_limits *l,
                               const clip_types *types) {
  size_t images = images_bytes(c, l, types);
  size_t texts = texts_bytes(c, l, types, clip_plan_texts(c, l, types));
  return images > texts ? images : texts;
}

/* The average tower's pass over whole images. */
static void cut_scoring(clip_activations *a, const clip_config *c, const clip_limits *l,
                        const clip_types *types, ops_block *block) {
  const use u = {.batch = l->eval_batch};
  tower_extent image = extent_of(&c->image, types, &u, attentive_tokens(c));
  image.is_narrow = false; /* the average's weights have no 8-bit form */
  *a = (clip_activations){0};
  tower_lay_out(&a->image, &c->image, &image, block);
  image_front_lay_out(&a->front, c, &image, block);
}

static size_t scoring_bytes(const clip_config *c, const clip_limits *l, const clip_types *types) {
  clip_activations a;
  ops_block block = {0};
  cut_scoring(&a, c, l, types, &block);
  return block.used;
}

static size_t average_bytes(const clip_config *c, const clip_limits *l, const clip_types *types,
                            const param_table *table) {
  attentive_scorer scorer;
  ops_block block = {0};
  attentive_lay_out(&scorer, c, l, types, attentive_elements(table), &block);
  return block.used;
}

static void cut_inputs(input_set *sets, reconstruction_lists *lists, ops_buffer *positions,
                       const clip_config *c, const clip_limits *l, const clip_types *types,
                       bool for_training, ops_block *block) {
  const reconstruction_extent e = reconstruction_extent_of(c, l, types);
  const int64_t texts = clip_plan_texts(c, l, types);
  for (int i = 0; i < (is_device(types) ? EVAL_SETS : 1); i++)
    input_set_lay_out(&sets[EVAL_SET + i], c, l->eval_batch, texts, l->eval_patches, block);
  for (int i = 0; i < TRAIN_SETS && for_training; i++) {
    input_set_lay_out(&sets[i], c, l->micro_batch, l->micro_batch, l->train_patches, block);
    reconstruction_lists_lay_out(&lists[i], &e, block);
  }
  *positions = ops_cut(block, types->master, c->patches * c->image.width);
}

static size_t input_bytes(const clip_config *c, const clip_limits *l, const clip_types *types,
                          bool for_training) {
  input_set sets[SETS];
  reconstruction_lists lists[TRAIN_SETS];
  ops_buffer positions;
  ops_block block = {0};
  cut_inputs(sets, lists, &positions, c, l, types, for_training, &block);
  return block.used;
}

static void cut_loss(loss_buffers *loss, const clip_config *c, const clip_limits *l,
                     const clip_types *types, ops_block *block) {
  if (!c->classes) {
    loss_lay_out(loss, l->batch, ranks_of(l), c->image.embed, types->compute, types->master, block);
    return;
  }
  *loss = (loss_buffers){.batch = l->batch, .embed = c->classes};
  loss->image = ops_cut(block, types->compute, l->batch * c->classes);
  loss->dimage = ops_cut(block, types->compute, l->batch * c->classes);
}

static size_t loss_bytes(const clip_config *c, const clip_limits *l, const clip_types *types) {
  loss_buffers loss;
  ops_block block = {0};
  cut_loss(&loss, c, l, types, &block);
  return block.used;
}

static size_t decoding_bytes(const clip_config *c, const clip_limits *l, const clip_types *types) {
  reconstruction_buffers b;
  ops_block block = {0};
  reconstruction_lay_out(&b, c, l, types, &block);
  return block.used;
}

void clip_plan(const clip_config *c, const clip_limits *l, const clip_types *types,
               const param_table *table, bool for_training, clip_memory *m) {
  bool has_working = types->compute != types->master;
  int64_t parameters = table->total;
  *m = (clip_memory){0};
  m->bytes[CLIP_PARAMETERS] = (size_t)parameters * ops_size_of(types->master);
  if (has_working) m->bytes[CLIP_WORKING] = (size_t)parameters * ops_size_of(types->compute);
  if (types->is_narrow) m->bytes[CLIP_NARROW] = clip_narrow_bytes(c, table, l, for_training);
  m->bytes[CLIP_ACTIVATIONS] = evaluation_bytes(c, l, types);
  m->bytes[CLIP_INPUTS] = input_bytes(c, l, types, for_training);
  if (!for_training) return;
  for (int is_kept = 0; is_kept < 2; is_kept++) {
    size_t bytes = activation_bytes(c, types, training(l, is_kept));
    if (bytes > m->bytes[CLIP_ACTIVATIONS]) m->bytes[CLIP_ACTIVATIONS] = bytes;
  }
  m->bytes[CLIP_GRADIENTS] = m->bytes[CLIP_PARAMETERS];
  m->bytes[CLIP_LOSS] = loss_bytes(c, l, types);
  m->bytes[CLIP_RECONSTRUCTION] = decoding_bytes(c, l, types);
  if (!c->scored_size) return;
  m->bytes[CLIP_AVERAGE] = average_bytes(c, l, types, table);
  size_t scoring = scoring_bytes(c, l, types);
  if (scoring > m->bytes[CLIP_ACTIVATIONS]) m->bytes[CLIP_ACTIVATIONS] = scoring;
}

size_t clip_memory_total(const clip_memory *m) {
  size_t total = 0;
  for (int i = 0; i < CLIP_BLOCKS; i++) total += m->bytes[i];
  return total;
}

static clip_types types_of(const ops *o) {
  return (clip_types){o->compute, o->master, o->chunk_bytes, o->is_narrow};
}

size_t clip_planned_bytes(const clip_model *m) {
  const clip_types types = types_of(m->o);
  clip_memory plan;
  clip_plan(&m->config, &m->limits, &types, &m->params, m->is_trainable, &plan);
  return clip_memory_total(&plan);
}

void clip_cut_training(const clip_model *m, bool is_kept, clip_activations *a) {
  const clip_types types = types_of(m->o);
  ops_block block = {.base = m->blocks[CLIP_ACTIVATIONS]};
  cut_activations(a, &m->config, &types, training(&m->limits, is_kept), &block);
  clip_point_scales(m, CLIP_TRAINING, a);
}

void clip_cut_evaluation(const clip_model *m, clip_activations *a) {
  const clip_types types = types_of(m->o);
  use images = evaluation(&m->config, &m->limits), texts = images;
  texts.batch = clip_plan_texts(&m->config, &m->limits, &types);
  ops_block for_images = {.base = m->blocks[CLIP_ACTIVATIONS]}, for_texts = for_images;
  cut_images(a, &m->config, &types, &images, &for_images);
  cut_texts(a, &m->config, &types, &texts, &for_texts);
  clip_point_scales(m, CLIP_EVALUATION, a);
}

void clip_cut_scoring(const clip_model *m, clip_activations *a) {
  const clip_types types = types_of(m->o);
  ops_block block = {.base = m->blocks[CLIP_ACTIVATIONS]};
  cut_scoring(a, &m->config, &m->limits, &types, &block);
}

void clip_cut_average(clip_model *m) {
  const clip_types types = types_of(m->o);
  ops_block block = {.base = m->blocks[CLIP_AVERAGE]};
  attentive_lay_out(&m->scorer, &m->config, &m->limits, &types, attentive_elements(&m->params),
                    &block);
}

void clip_cut_loss(clip_model *m) {
  const clip_types types = types_of(m->o);
  ops_block block = {.base = m->blocks[CLIP_LOSS]};
  cut_loss(&m->loss, &m->config, &m->limits, &types, &block);
}

void clip_cut_decoding(clip_model *m) {
  const clip_types types = types_of(m->o);
  ops_block block = {.base = m->blocks[CLIP_RECONSTRUCTION]};
  reconstruction_lay_out(&m->decoding, &m->config, &m->limits, &types, &block);
  m->decoding.decoder.scales = m->scales[CLIP_TRAINING].decoder;
}

void clip_cut_inputs(clip_model *m) {
  const clip_types types = types_of(m->o);
  ops_block block = {.base = m->blocks[CLIP_INPUTS]};
  cut_inputs(m->sets, m->lists, &m->fixed_positions, &m->config, &m->limits, &types,
             m->is_trainable, &block);
}
