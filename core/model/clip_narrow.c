/* Dense layers in 8 bits: the weights' rounded forms and the scales of all operands. */
#include <inttypes.h>
#include <math.h>

#include "base/mem.h"
#include "model/clip_inside.h"
#include "model/tower_parts.h"

static ops_buffer cut_scales(ops_block *block, int64_t count) {
  return ops_cut(block, OPS_F32, count * OPS_SCALE_FLOATS);
}

/* The next `count` operands' scales of `all`. */
static ops_buffer take_scales(clip_scales *scales, int64_t count) {
  ops_buffer part = ops_at(scales->all, scales->operands * OPS_SCALE_FLOATS);
  scales->operands += count;
  return part;
}

static int64_t operands_of(const clip_config *c) {
  return tower_scales(&c->image) + (c->classes ? 0 : tower_scales(&c->text)) +
         (c->reconstruction_weight > 0 ? tower_scales(&c->reconstruction) : 0);
}

int64_t clip_scale_floats(const clip_config *c) {
  return operands_of(c) * OPS_SCALE_FLOATS;
}

/* For delayed scaling the history follows the scales without a gap: the state of a checkpoint. */
static void lay_out_scales(clip_scales *s, const clip_config *c, bool is_delayed,
                           ops_block *block) {
  const int64_t count = operands_of(c);
  const int64_t floats = clip_scale_floats(c) + (is_delayed ? count * OPS_SCALE_HISTORY : 0);
  *s = (clip_scales){.all = ops_cut(block, OPS_F32, floats)};
  if (is_delayed) s->history = ops_at(s->all, count * OPS_SCALE_FLOATS);
  s->image = take_scales(s, tower_scales(&c->image));
  if (!c->classes) s->text = take_scales(s, tower_scales(&c->text));
  if (c->reconstruction_weight > 0) s->decoder = take_scales(s, tower_scales(&c->reconstruction));
}

static void lay_out(tower_weights *w, clip_scales scales[CLIP_USES], ops_buffer *saturated,
                    const clip_config *c, const param_table *table, int ranks, bool for_training,
                    ops_block *block) {
  w->narrow = ops_cut(block, OPS_U8, table->total);
  w->narrow_turned = for_training ? ops_cut(block, OPS_U8, table->total) : (ops_buffer){0};
  w->narrow_scales = cut_scales(block, (int64_t)table->count);
  lay_out_scales(&scales[CLIP_EVALUATION], c, false, block);
  if (!for_training) return;
  lay_out_scales(&scales[CLIP_TRAINING], c, c->delays_scales, block);
  if (c->delays_scales && ranks > 1)
    scales[CLIP_TRAINING].gathered = ops_cut(block, OPS_F32, ranks * clip_scale_floats(c));
  *saturated = c->delays_scales ? ops_cut(block, OPS_F32, 1) : (ops_buffer){0};
}

size_t clip_narrow_bytes(const clip_config *c, const param_table *table, const clip_limits *l,
                         bool for_training) {
  tower_weights w;
  clip_scales scales[CLIP_USES];
  ops_buffer saturated;
  ops_block block = {0};
  lay_out(&w, scales, &saturated, c, table, l->ranks, for_training, &block);
  return block.used;
}

void clip_cut_narrow(clip_model *m) {
  ops_block block = {.base = m->blocks[CLIP_NARROW]};
  lay_out(&m->weights, m->scales, &m->saturated, &m->config, &m->params, m->limits.ranks,
          m->is_trainable, &block);
}

static bool delays(const clip_model *m) {
  return m->is_trainable && m->o->is_narrow && m->config.delays_scales;
}

bool clip_is_delayed(const clip_model *m) {
  return delays(m) && m->has_history;
}

err clip_clear_scales(clip_model *m) {
  int64_t operands, columns;
  const ops_buffer state = clip_scale_state(m, &operands, &columns);
  if (!state.data) return NULL;
  err error = m->o->call->clear(m->o, state.data, (size_t)(operands * columns) * sizeof(float));
  return error ? error : m->o->call->fill(m->o, 1, m->saturated, 0);
}

static err advance(clip_model *m, ops_buffer scales, int64_t first, const tower_shape *shape) {
  comm *ranks = m->loss.shared.ranks;
  const ops_buffer gathered = m->scales[CLIP_TRAINING].gathered;
  const ops_scales s = {.count = tower_scales(shape),
                        .gradients = tower_scales(shape) / 2,
                        .scales = scales,
                        .history =
                            ops_at(m->scales[CLIP_TRAINING].history, first * OPS_SCALE_HISTORY),
                        .saturated = m->saturated,
                        .adds = first > 0,
                        .gathered = ranks ? ops_at(gathered, first * OPS_SCALE_FLOATS) : scales,
                        .ranks = comm_size(ranks),
                        .stride = clip_scale_floats(&m->config)};
  return m->o->call->advance_scales(m->o, &s);
}

err clip_advance_scales(clip_model *m) {
  const clip_scales *s = &m->scales[CLIP_TRAINING];
  const clip_config *c = &m->config;
  comm *ranks = m->loss.shared.ranks;
  err error = NULL;
  if (!delays(m)) return NULL;
  if (ranks) error = ranks->call->gather(ranks, clip_scale_floats(c), s->all, s->gathered);
  int64_t first = tower_scales(&c->image);
  if (!error) error = advance(m, s->image, 0, &c->image);
  if (!error && s->text.data) {
    error = advance(m, s->text, first, &c->text);
    first += tower_scales(&c->text);
  }
  if (!error && s->decoder.data) error = advance(m, s->decoder, first, &c->reconstruction);
  m->has_history = true;
  return error;
}

err clip_read_saturated(const clip_model *m, double *values) {
  *values = NAN;
  return delays(m) ? clip_read_number(m, m->saturated, values) : NULL;
}

ops_buffer clip_scale_state(const clip_model *m, int64_t *operands, int64_t *columns) {
  const clip_scales *s = &m->scales[CLIP_TRAINING];
  *operands = s->operands;
  *columns = OPS_SCALE_FLOATS + OPS_SCALE_HISTORY;
  return delays(m) ? s->all : (ops_buffer){0};
}

void clip_take_scales(clip_model *m) {
  m->has_history = delays(m);
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

static void explain(const char *name, const tower_shape *s, const int64_t samples[2],
                    int64_t tokens, strbuf *lines) {
  const char *outcome = "dense layers are computed in bf16, not in 8 bits";
  if (s->width % OPS_NARROW_MULTIPLE || s->hidden % OPS_NARROW_MULTIPLE) {
    strbuf_format(lines,
                  "precision: fp8: the %s's %s: widths of %" PRId64 " and %" PRId64
                  " are not multiples of %d\n",
                  name, outcome, s->width, s->hidden, OPS_NARROW_MULTIPLE);
    return;
  }
  for (int i = 0; i < 2; i++)
    if (samples[i] * tokens % OPS_NARROW_MULTIPLE)
      strbuf_format(lines,
                    "precision: fp8: the %s's %s%s: %" PRId64 " samples of %" PRId64
                    " tokens are not a multiple of %d tokens\n",
                    name, outcome, i ? " in a batch's last micro-batch" : "", samples[i], tokens,
                    OPS_NARROW_MULTIPLE);
}

void clip_explain_narrow(const clip_model *m, strbuf *lines) {
  const clip_config *c = &m->config;
  const clip_limits *l = &m->limits;
  if (!m->o->is_narrow) return;
  const int64_t samples[] = {l->micro_batch, l->batch % l->micro_batch};
  explain("image tower", &c->image, samples, l->train_patches + c->has_class_token, lines);
  if (!c->classes) explain("text tower", &c->text, samples, l->train_words, lines);
  if (m->reconstruction.decoder.blocks)
    explain("reconstruction's decoder", &c->reconstruction, samples,
            c->patches + c->has_class_token, lines);
}
