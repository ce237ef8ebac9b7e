#include "model/tower.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/tower_parts.h"

/* The tensors of a block in the order in which they are declared and resolved. */
typedef struct {
  const char *name;
  size_t field; /* offset in tower_block */
} block_tensor;

#define BLOCK_TENSOR(name, field)                                                                  \
  { name, offsetof(tower_block, field) }
static const block_tensor block_tensors[] = {
    BLOCK_TENSOR("norm1.weight", norm1_gamma), BLOCK_TENSOR("norm1.bias", norm1_beta),
    BLOCK_TENSOR("qkv.weight", qkv),           BLOCK_TENSOR("qkv.bias", qkv_bias),
    BLOCK_TENSOR("out.weight", out),           BLOCK_TENSOR("out.bias", out_bias),
    BLOCK_TENSOR("norm2.weight", norm2_gamma), BLOCK_TENSOR("norm2.bias", norm2_beta),
    BLOCK_TENSOR("fc1.weight", fc1),           BLOCK_TENSOR("fc1.bias", fc1_bias),
    BLOCK_TENSOR("fc2.weight", fc2),           BLOCK_TENSOR("fc2.bias", fc2_bias)};
static_assert(sizeof block_tensors / sizeof *block_tensors == BLOCK_TENSORS, "of a block");

static void declare_block(const tower_shape *s, const char *prefix, int64_t layer,
                          param_table *table) {
  const struct {
    int64_t rows, columns;
    bool is_decayed;
    param_rule rule;
  } kinds[BLOCK_TENSORS] = {
      {0, s->width, false, PARAM_ONE},
      {0, s->width, false, PARAM_ZERO},
      {3 * s->width, s->width, true, PARAM_ATTENTION},
      {0, 3 * s->width, false, PARAM_ZERO},
      {s->width, s->width, true, PARAM_XAVIER},
      {0, s->width, false, PARAM_ZERO},
      {0, s->width, false, PARAM_ONE},
      {0, s->width, false, PARAM_ZERO},
      {s->hidden, s->width, true, PARAM_XAVIER},
      {0, s->hidden, false, PARAM_ZERO},
      {s->width, s->hidden, true, PARAM_XAVIER},
      {0, s->width, false, PARAM_ZERO},
  };
  for (size_t i = 0; i < BLOCK_TENSORS; i++) {
    char name[PARAM_NAME_SIZE];
    snprintf(name, sizeof name, "%s.blocks.%d.%s", prefix, (int)layer, block_tensors[i].name);
    param_table_add(table, name, kinds[i].rows, kinds[i].columns, kinds[i].is_decayed,
                    kinds[i].rule, 0);
  }
}

err tower_declare(tower *t, const tower_shape *shape, const char *prefix, param_table *table) {
  char name[PARAM_NAME_SIZE];
  t->shape = *shape;
  t->first_param = table->count;
  t->blocks = mem_zeroed((size_t)shape->layers, sizeof *t->blocks);
  if (!t->blocks) return mem_error(sizeof *t->blocks, "a tower");
  for (int64_t layer = 0; layer < shape->layers; layer++)
    declare_block(shape, prefix, layer, table);
  snprintf(name, sizeof name, "%s.norm.weight", prefix);
  param_table_add(table, name, 0, shape->width, false, PARAM_ONE, 0);
  snprintf(name, sizeof name, "%s.norm.bias", prefix);
  param_table_add(table, name, 0, shape->width, false, PARAM_ZERO, 0);
  if (shape->is_classifier) { /* as small as in MAE's fine-tuning */
    param_table_add(table, "head.weight", shape->embed, shape->width, true, PARAM_NORMAL, 2e-5);
    param_table_add(table, "head.bias", 0, shape->embed, false, PARAM_ZERO, 0);
    return NULL;
  }
  snprintf(name, sizeof name, "%s.projection.weight", prefix);
  param_table_add(table, name, shape->embed, shape->width, true, PARAM_XAVIER, 0);
  return NULL;
}

void tower_resolve(tower *t, const param_table *table) {
  const param *at = table->items + t->first_param;
  for (int64_t layer = 0; layer < t->shape.layers; layer++)
    for (size_t i = 0; i < BLOCK_TENSORS; i++, at++) {
      char *block = (char *)&t->blocks[layer];
      memcpy(block + block_tensors[i].field, &at->offset, sizeof at->offset);
    }
  t->norm_gamma = at[0].offset;
  t->norm_beta = at[1].offset;
  t->projection = at[2].offset;
  t->projection_bias = t->shape.is_classifier ? at[3].offset : -1;
}

size_t tower_tensors(const tower *t) {
  return (size_t)t->shape.layers * BLOCK_TENSORS + TOWER_OTHER_TENSORS;
}

void tower_free(tower *t) {
  free(t->blocks);
  *t = (tower){0};
}

int64_t tower_chunk(const tower_shape *shape, int64_t tokens, int64_t batch, ops_type compute,
                    int64_t chunk_bytes) {
  if (chunk_bytes <= 0) return batch;
  int64_t sample_bytes = tokens * shape->width * (int64_t)ops_size_of(compute);
  int64_t chunk = chunk_bytes / sample_bytes;
  if (chunk < 1) chunk = 1;
  if (chunk >= batch) return batch;
  int64_t pieces = (batch + chunk - 1) / chunk; /* equal pieces: fewer shapes, no short last one */
  return (batch + pieces - 1) / pieces;
}

static int64_t most(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/* The operands of products in 8 bits. Of the inputs kept for backward, those that a level of
 * recomputation drops are one chunk's. */
static void lay_out_narrow(tower_activations *a, const tower_shape *s, const tower_extent *e,
                           ops_block *block) {
  const int64_t rows = e->chunk * e->tokens;
  const int64_t lone = most(e->lone_elements, e->batch * most(s->width, s->embed));
  const int64_t x = most(rows * most(s->width, s->hidden), lone);
  assert(e->chunk == e->batch);
  a->is_narrow = true;
  a->x8 = ops_cut(block, OPS_U8, x);
  if (!e->is_kept) return;
  a->is_norm8_shared = s->recompute_level >= TOWER_RECOMPUTE_NORMS;
  a->is_hidden8_shared = s->recompute_level >= TOWER_RECOMPUTE_ACTIVATIONS;
  const int64_t kept = a->shared_row + (a->recompute ? rows : 0);
  const int64_t norms = a->is_norm8_shared ? rows : kept;
  a->norm1_turned = ops_cut(block, OPS_U8, norms * s->width);
  a->attended_turned = ops_cut(block, OPS_U8, kept * s->width);
  a->norm2_turned = ops_cut(block, OPS_U8, norms * s->width);
  a->hidden_turned = ops_cut(block, OPS_U8, (a->is_hidden8_shared ? rows : kept) * s->hidden);
  a->x8_turned = ops_cut(block, OPS_U8, lone);
  const int64_t dy = most(rows * most(3 * s->width, s->hidden), lone);
  a->dy8 = ops_cut(block, OPS_U8, dy);
  a->dy8_turned = ops_cut(block, OPS_U8, dy);
}

void tower_lay_out(tower_activations *a, const tower_shape *s, const tower_extent *e,
                   ops_block *block) {
  const ops_type compute = e->compute, master = e->master;
  int64_t chunk_rows = e->chunk * e->tokens, rows = e->is_kept ? e->batch * e->tokens : chunk_rows;
  int64_t recompute = !e->is_kept ? 0 : s->recompute < s->layers ? s->recompute : s->layers;
  int64_t kept_rows = e->is_kept ? (s->layers - recompute) * rows : rows; /* of all layers */
  *a = (tower_activations){.batch = e->batch,
                           .tokens = e->tokens,
                           .chunk = e->chunk,
                           .is_kept = e->is_kept,
                           .layer_rows = e->is_kept ? rows : 0,
                           .recompute = recompute,
                           .shared_row = kept_rows};
  if (recompute) kept_rows += chunk_rows;
  const bool is_given = e->gives_outputs || e->is_narrow;
  a->gives_outputs = e->is_kept && e->gives_outputs;
  a->are_norms_shared = e->is_kept && (is_given || s->recompute_level >= TOWER_RECOMPUTE_NORMS);
  a->is_hidden_shared =
      e->is_kept && (is_given || s->recompute_level >= TOWER_RECOMPUTE_ACTIVATIONS);
  int64_t norm_rows = a->are_norms_shared ? chunk_rows : kept_rows;
  int64_t hidden_rows = a->is_hidden_shared ? chunk_rows : kept_rows;
  a->x = ops_cut(block, compute, (e->is_kept ? s->layers + 1 : 1) * rows * s->width);
  a->norm1 = ops_cut(block, compute, norm_rows * s->width);
  a->qkv = ops_cut(block, compute, kept_rows * 3 * s->width);
  a->attended = ops_cut(block, compute, kept_rows * s->width);
  a->middle = ops_cut(block, compute, kept_rows * s->width);
  a->norm2 = ops_cut(block, compute, norm_rows * s->width);
  a->pre = ops_cut(block, compute, kept_rows * s->hidden);
  a->hidden = ops_cut(block, compute, hidden_rows * s->hidden);
  a->last = ops_cut(block, compute, chunk_rows * s->width);
  ops_buffer *statistics[] = {&a->mean1, &a->rstd1, &a->mean2, &a->rstd2};
  for (size_t i = 0; i < 4; i++) *statistics[i] = ops_cut(block, master, kept_rows);
  a->mean_last = ops_cut(block, master, rows);
  a->rstd_last = ops_cut(block, master, rows);
  a->lse = ops_cut(block, master, kept_rows * s->heads);
  a->pooled = ops_cut(block, compute, e->batch * s->width);
  a->features = ops_cut(block, compute, e->batch * s->embed);
  a->delta = ops_cut(block, compute, chunk_rows * s->width);
  if (e->is_narrow) lay_out_narrow(a, s, e, block);
  if (!e->is_kept) return;
  a->dx = ops_cut(block, compute, chunk_rows * s->width);
  a->dnorm = ops_cut(block, compute, chunk_rows * s->width);
  a->dhidden = ops_cut(block, compute, chunk_rows * s->hidden);
  a->dqkv = ops_cut(block, compute, chunk_rows * 3 * s->width);
}
