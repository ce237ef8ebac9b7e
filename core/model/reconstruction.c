/* The decoder's tensors, its memory, and the assignment of tokens. */
#include "model/reconstruction.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/front.h"

/* Maximum rows of an embedding table whose gradient every backend supports (cuda/kernels.h). */
enum { LONGEST_TABLE = 65536 };

err reconstruction_declare(reconstruction_head *head, const clip_config *c, param_table *table) {
  const tower_shape *s = &c->reconstruction;
  if (c->reconstruction_weight == 0) return NULL;
  param_table_add(table, "reconstruction.embed.weight", s->width, c->image.width, true,
                  PARAM_XAVIER, 0);
  param_table_add(table, "reconstruction.embed.bias", 0, s->width, false, PARAM_ZERO, 0);
  /* a dense layer of the constant 1 */
  param_table_add(table, "reconstruction.mask_token", s->width, 1, true, PARAM_NORMAL, 0.02);
  param_table_add(table, "reconstruction.projection.bias", 0, s->embed, false, PARAM_ZERO, 0);
  return tower_declare(&head->decoder, s, "reconstruction", table);
}

void reconstruction_resolve(reconstruction_head *head, const param_table *table) {
  const param *embed = param_table_find(table, "reconstruction.embed.weight");
  if (!embed) return;
  head->embed = embed[0].offset;
  head->embed_tensor = (size_t)(embed - table->items);
  head->embed_bias = embed[1].offset;
  head->mask_token = embed[2].offset;
  head->prediction_bias = embed[3].offset;
  tower_resolve(&head->decoder, table);
}

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int64_t pieces(int64_t count, int64_t size) {
  return (count + size - 1) / size;
}

reconstruction_extent reconstruction_extent_of(const clip_config *c, const clip_limits *l,
                                               const clip_types *types) {
  int64_t dropped = c->patches - l->train_patches, has_class = c->has_class_token;
  if (c->reconstruction_weight == 0 || dropped <= 0) return (reconstruction_extent){0};
  reconstruction_extent e = {.samples = l->micro_batch,
                             .encoded = l->train_patches + has_class,
                             .tokens = c->patches + has_class,
                             .dropped = dropped,
                             .pixels = c->reconstruction.embed};
  e.image_chunk =
      tower_chunk(&c->image, e.encoded, l->micro_batch, types->compute, types->chunk_bytes);
  e.chunk =
      tower_chunk(&c->reconstruction, e.tokens, e.image_chunk, types->compute, types->chunk_bytes);
  e.chunk = least(e.chunk, (LONGEST_TABLE - 1) / e.tokens);
  if (e.chunk < 1) e.chunk = 1;
  e.parts = pieces(e.samples, e.image_chunk) * pieces(e.image_chunk, e.chunk);
  return e;
}

/* The largest operand of the embedding and of the prediction of pixels. */
static int64_t lone_elements(const clip_config *c, const reconstruction_extent *e) {
  const int64_t width = c->reconstruction.width, encoded = e->chunk * e->encoded;
  const int64_t seen = encoded * (width > c->image.width ? width : c->image.width);
  const int64_t predicted = e->chunk * e->dropped * (width > e->pixels ? width : e->pixels);
  return seen > predicted ? seen : predicted;
}

void reconstruction_lay_out(reconstruction_buffers *b, const clip_config *c, const clip_limits *l,
                            const clip_types *types, ops_block *block) {
  const reconstruction_extent e = reconstruction_extent_of(c, l, types);
  const tower_extent decoder = {.batch = e.chunk,
                                .tokens = e.tokens,
                                .chunk = e.chunk,
                                .is_kept = true,
                                .gives_outputs = types->chunk_bytes > 0,
                                .compute = types->compute,
                                .master = types->master,
                                .is_narrow = types->is_narrow,
                                .lone_elements = lone_elements(c, &e)};
  const int64_t width = c->reconstruction.width, rows = 1 + e.chunk * e.encoded;
  const ops_type compute = types->compute, master = types->master;
  *b = (reconstruction_buffers){.extent = e};
  if (!e.tokens) return;
  tower_lay_out(&b->decoder, &c->reconstruction, &decoder, block);
  b->table = ops_cut(block, master, rows * width);
  b->table_compute = compute == master ? b->table : ops_cut(block, compute, rows * width);
  b->wide = ops_cut(block, master, e.chunk * e.tokens * width);
  b->picked = ops_cut(block, compute, e.chunk * e.dropped * width);
  b->predictions = ops_cut(block, compute, e.chunk * e.dropped * e.pixels);
  b->row_errors = ops_cut(block, master, e.chunk * e.dropped);
  b->positions = ops_cut(block, master, e.tokens * width);
  b->zeros = ops_cut(block, master, e.dropped * width);
  b->one_master = ops_cut(block, master, 1);
  b->one = compute == master ? b->one_master : ops_cut(block, compute, 1);
  b->error_count = pieces(l->batch, e.samples) * e.parts;
  b->errors = ops_cut(block, master, b->error_count);
  b->dlast = ops_cut(block, compute, e.image_chunk * e.encoded * c->image.width);
}

/* The positions of all patches, after the class token's zeros. */
static err fill_positions(const reconstruction_buffers *b, const clip_config *c, ops *o) {
  int64_t width = c->reconstruction.width, count = b->extent.tokens * width;
  double *wide = mem_zeroed((size_t)count, sizeof *wide);
  float *narrow = mem_zeroed((size_t)count, sizeof *narrow);
  err error = NULL;
  if (!wide || !narrow) {
    error = mem_error((size_t)count * sizeof *wide, "the decoder's positions");
  } else {
    image_sincos_positions((int64_t)(sqrt((double)c->patches) + 0.5), width,
                           wide + (c->has_class_token ? width : 0));
    for (int64_t i = 0; i < count; i++) narrow[i] = (float)wide[i];
    error = o->call->upload(o, b->positions.data, o->master == OPS_F64 ? (void *)wide : narrow,
                            (size_t)count * ops_size_of(o->master));
  }
  if (!error) error = o->call->synchronize(o);
  free(wide);
  free(narrow);
  return error;
}

err reconstruction_fill(const reconstruction_buffers *b, const clip_config *c, ops *o) {
  err error = NULL;
  int64_t width = c->reconstruction.width;
  if (!b->extent.tokens) return NULL;
  TRY(fill_positions(b, c, o));
  TRY(o->call->fill(o, b->extent.dropped * width, b->zeros, 0));
  TRY(o->call->fill(o, b->error_count, b->errors, 0));
  TRY(o->call->fill(o, 1, b->one_master, 1));
  if (b->one.data != b->one_master.data) TRY(o->call->cast(o, 1, b->one_master, b->one));
cleanup:
  return error;
}

void reconstruction_lists_lay_out(reconstruction_lists *lists, const reconstruction_extent *e,
                                  ops_block *block) {
  if (!e->tokens) return;
  lists->rows = ops_cut(block, OPS_I32, e->samples * e->tokens);
  lists->wanted = ops_cut(block, OPS_I32, e->samples * e->dropped);
  lists->dropped = ops_cut(block, OPS_I32, e->samples * e->dropped);
}

err reconstruction_lists_allocate(reconstruction_lists *lists, const reconstruction_extent *e) {
  size_t count = (size_t)(e->samples * (e->tokens + 2 * e->dropped));
  if (!e->tokens) return NULL;
  lists->host = mem_zeroed(count, sizeof *lists->host);
  return lists->host ? NULL : mem_error(count * sizeof *lists->host, "the decoder's lists");
}

/* One sample, at index `place` of its decoder chunk. */
static void list_sample(const reconstruction_extent *e, int64_t has_class, int64_t place,
                        const int32_t *index, int32_t *rows, int32_t *wanted, int32_t *dropped) {
  int64_t first = 1 + place * e->encoded, count = 0;
  for (int64_t t = 0; t < e->tokens; t++) rows[t] = 0; /* the mask token */
  if (has_class) rows[0] = (int32_t)first;
  for (int64_t k = 0; k < e->encoded - has_class; k++)
    rows[has_class + index[k]] = (int32_t)(first + has_class + k);
  for (int64_t t = has_class; t < e->tokens; t++) {
    if (rows[t]) continue;
    wanted[count] = (int32_t)(place * e->tokens + t);
    dropped[count++] = (int32_t)(t - has_class);
  }
}

err reconstruction_lists_copy(reconstruction_lists *lists, ops *o, const reconstruction_extent *e,
                              bool has_class_token, const int32_t *index, int64_t count) {
  err error = NULL;
  int64_t has_class = has_class_token;
  if (!e->tokens) return NULL;
  int32_t *rows = lists->host, *wanted = rows + e->samples * e->tokens;
  int32_t *dropped = wanted + e->samples * e->dropped;
  for (int64_t i = 0; i < count; i++)
    list_sample(e, has_class, i % e->image_chunk % e->chunk, index + i * (e->encoded - has_class),
                rows + i * e->tokens, wanted + i * e->dropped, dropped + i * e->dropped);
  size_t list_bytes = (size_t)(count * e->dropped) * sizeof *dropped;
  TRY(o->call->upload_ahead(o, lists->rows.data, rows, (size_t)(count * e->tokens) * sizeof *rows));
  TRY(o->call->upload_ahead(o, lists->wanted.data, wanted, list_bytes));
  TRY(o->call->upload_ahead(o, lists->dropped.data, dropped, list_bytes));
cleanup:
  return error;
}
