/* Dense layers in 8 bits: the weights' rounded forms and the scales of all operands. */
#include "base/mem.h"
#include "model/clip_inside.h"
#include "model/tower_parts.h"

static ops_buffer cut_scales(ops_block *block, int64_t count) {
  return ops_cut(block, OPS_F32, count * OPS_SCALE_FLOATS);
}

static void lay_out(tower_weights *w, clip_scales scales[CLIP_USES], const clip_config *c,
                    const param_table *table, bool for_training, ops_block *block) {
  w->narrow = ops_cut(block, OPS_U8, table->total);
  w->narrow_turned = for_training ? ops_cut(block, OPS_U8, table->total) : (ops_buffer){0};
  w->narrow_scales = cut_scales(block, (int64_t)table->count);
  for (int use = for_training ? CLIP_TRAINING : CLIP_EVALUATION; use < CLIP_USES; use++) {
    scales[use].image = cut_scales(block, tower_scales(&c->image));
    if (!c->classes) scales[use].text = cut_scales(block, tower_scales(&c->text));
    if (c->reconstruction_weight > 0)
      scales[use].decoder = cut_scales(block, tower_scales(&c->reconstruction));
  }
}

size_t clip_narrow_bytes(const clip_config *c, const param_table *table, bool for_training) {
  tower_weights w;
  clip_scales scales[CLIP_USES];
  ops_block block = {0};
  lay_out(&w, scales, c, table, for_training, &block);
  return block.used;
}

void clip_cut_narrow(clip_model *m) {
  ops_block block = {.base = m->blocks[CLIP_NARROW]};
  lay_out(&m->weights, m->scales, &m->config, &m->params, m->is_trainable, &block);
}

void clip_point_scales(const clip_model *m, clip_use use, clip_activations *a) {
  a->image.scales = m->scales[use].image;
  a->text.scales = m->scales[use].text;
}

static void add_weight(clip_model *m, tower_dense d) {
  const tower_weights *w = &m->weights;
  if (d.in % OPS_NARROW_MULTIPLE || d.out % OPS_NARROW_MULTIPLE) return;
  m->weights_list[m->weights_count++] = (ops_rounding){
      .rows = d.out,
      .columns = d.in,
      .x = ops_at(w->working, d.weight),
      .to = {OPS_E4M3, ops_at(w->narrow, d.weight), ops_at(w->narrow_turned, d.weight),
             ops_at(w->narrow_scales, (int64_t)d.tensor * OPS_SCALE_FLOATS)}};
}

static void add_tower(clip_model *m, const tower *t) {
  for (int64_t layer = 0; layer < t->shape.layers; layer++) {
    add_weight(m, tower_qkv(t, layer));
    add_weight(m, tower_out(t, layer));
    add_weight(m, tower_fc1(t, layer));
    add_weight(m, tower_fc2(t, layer));
  }
  add_weight(m, tower_projection(t));
}

err clip_list_weights(clip_model *m) {
  const reconstruction_head *head = &m->reconstruction;
  m->weights_list = mem_zeroed(m->params.count, sizeof *m->weights_list);
  if (!m->weights_list) return mem_error(m->params.count * sizeof *m->weights_list, "weights");
  add_tower(m, &m->image);
  if (!m->config.classes) add_tower(m, &m->text);
  if (!head->decoder.blocks) return NULL;
  add_tower(m, &head->decoder);
  add_weight(m, (tower_dense){.in = m->config.image.width,
                              .out = m->config.reconstruction.width,
                              .weight = head->embed,
                              .tensor = head->embed_tensor});
  return NULL;
}

err clip_round_weights(clip_model *m) {
  if (!m->weights_list) return NULL;
  const size_t bytes = m->params.count * OPS_SCALE_FLOATS * ops_size_of(OPS_F32);
  err error = m->o->call->clear(m->o, m->weights.narrow_scales.data, bytes);
  return error ? error : m->o->call->narrow(m->o, m->weights_list, m->weights_count);
}
