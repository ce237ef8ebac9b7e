#include "model/loss_inside.h"

enum { TILE_ROWS = 512 };
static const double norm_eps = 1e-8; /* FLIP's released code adds it to the norm */

static void lay_out_shared(loss_buffers *l, ops_type compute, ops_type master, ops_block *block) {
  loss_shared *s = &l->shared;
  s->image_all = ops_cut(block, compute, s->batch * l->embed);
  s->text_all = ops_cut(block, compute, s->batch * l->embed);
  s->text_lse = ops_cut(block, master, s->own);
  s->image_lse_all = ops_cut(block, master, s->batch);
  s->text_lse_all = ops_cut(block, master, s->batch);
  s->values = ops_cut(block, master, s->batch / s->own);
}

void loss_lay_out(loss_buffers *l, int64_t batch, int ranks, int64_t embed, ops_type compute,
                  ops_type master, ops_block *block) {
  int64_t whole = batch * ranks; /* columns of a tile */
  *l = (loss_buffers){.batch = batch,
                      .embed = embed,
                      .tile = batch < TILE_ROWS ? batch : TILE_ROWS,
                      .shared = {.own = batch, .batch = whole}};
  ops_buffer *features[] = {&l->image,      &l->text,      &l->dimage, &l->dtext,
                            &l->image_unit, &l->text_unit, &l->dunit};
  for (size_t i = 0; i < 7; i++) *features[i] = ops_cut(block, compute, batch * embed);
  if (ranks == 1) l->dtext_sum = ops_cut(block, master, batch * embed);
  l->cosines = ops_cut(block, master, l->tile * whole);
  l->cosines_compute = compute == master ? l->cosines : ops_cut(block, compute, l->tile * whole);
  ops_buffer *vectors[] = {&l->image_norm, &l->text_norm,  &l->row_lse,   &l->positive,
                           &l->column_max, &l->column_sum, &l->column_lse};
  for (size_t i = 0; i < 7; i++) *vectors[i] = ops_cut(block, master, i < 4 ? batch : whole);
  l->value = ops_cut(block, master, 1);
  l->unused = ops_cut(block, master, 1);
  if (ranks > 1) lay_out_shared(l, compute, master, block);
}

err loss_normalize(ops *o, const loss_buffers *l, int64_t batch, ops_buffer x, ops_buffer y,
                   ops_buffer norms) {
  ops_normalize n = {
      .rows = batch, .width = l->embed, .eps = norm_eps, .x = x, .y = y, .norms = norms};
  return o->call->normalize(o, &n);
}

err loss_normalize_gradient(ops *o, const loss_buffers *l, int64_t batch, ops_buffer x,
                            ops_buffer norms, ops_buffer dx) {
  ops_normalize n = {.rows = batch,
                     .width = l->embed,
                     .eps = norm_eps,
                     .x = x,
                     .norms = norms,
                     .dy = l->dunit,
                     .dx = dx};
  return o->call->normalize_gradient(o, &n);
}

/* What the logits are computed from: unit vectors, or the features themselves. */
static ops_buffer compared(const loss_buffers *l, ops_buffer features, ops_buffer unit) {
  return l->options.normalizes ? unit : features;
}

/* cosines [rows, batch] of the tile that starts at `first`. */
static err tile_cosines(ops *o, const loss_buffers *l, int64_t batch, int64_t first, int64_t rows) {
  ops_gemm g = {.m = rows,
                .n = batch,
                .k = l->embed,
                .transpose_b = true,
                .a = ops_at(compared(l, l->image, l->image_unit), first * l->embed),
                .b = compared(l, l->text, l->text_unit),
                .c = l->cosines};
  return o->call->gemm(o, &g);
}

static ops_contrastive tile_of(const loss_buffers *l, int64_t batch, int64_t first, int64_t rows,
                               ops_buffer scale_log) {
  return (ops_contrastive){.rows = rows,
                           .columns = batch,
                           .first_row = first,
                           .scale_log_least = l->options.scale_log_least,
                           .scale_log_most = l->options.scale_log_most,
                           .cosines = l->cosines,
                           .scale_log = scale_log,
                           .row_lse = ops_at(l->row_lse, first),
                           .positive = ops_at(l->positive, first),
                           .column_max = l->column_max,
                           .column_sum = l->column_sum,
                           .column_lse = l->column_lse,
                           .row_weight = l->options.row_share / (double)batch,
                           .column_weight = l->options.column_share / (double)batch};
}

err loss_start_columns(ops *o, const loss_buffers *l, int64_t batch) {
  err error = o->call->fill(o, batch, l->column_max, -1e30);
  return error ? error : o->call->fill(o, batch, l->column_sum, 0);
}

/* dunit of the tile's images = G text; dtext_sum += Gᵀ image; G: gradient of the cosines. */
static err tile_gradients(ops *o, const loss_buffers *l, int64_t batch, int64_t first,
                          int64_t rows) {
  ops_gemm image = {.m = rows,
                    .n = l->embed,
                    .k = batch,
                    .a = l->cosines_compute,
                    .b = compared(l, l->text, l->text_unit),
                    .c = ops_at(compared(l, l->dimage, l->dunit), first * l->embed)};
  ops_gemm text = {.m = batch,
                   .n = l->embed,
                   .k = rows,
                   .transpose_a = true,
                   .accumulate = true,
                   .a = l->cosines_compute,
                   .b = ops_at(compared(l, l->image, l->image_unit), first * l->embed),
                   .c = l->dtext_sum};
  err error = NULL;
  if (l->cosines_compute.data != l->cosines.data)
    error = o->call->cast(o, rows * batch, l->cosines, l->cosines_compute);
  if (!error) error = o->call->gemm(o, &image);
  return error ? error : o->call->gemm(o, &text);
}

err loss_compute(ops *o, const loss_buffers *l, int64_t batch, ops_buffer scale_log,
                 ops_buffer dscale_log) {
  err error = NULL;
  const ops_table *call = o->call;
  if (l->shared.ranks) return loss_compute_shared(o, l, scale_log, dscale_log);
  if (l->options.normalizes) {
    TRY(loss_normalize(o, l, batch, l->image, l->image_unit, l->image_norm));
    TRY(loss_normalize(o, l, batch, l->text, l->text_unit, l->text_norm));
  }
  if (!l->options.learns_scale) {
    TRY(call->fill(o, 1, l->unused, 0));
    dscale_log = l->unused;
  }
  TRY(loss_start_columns(o, l, batch));
  for (int64_t first = 0; first < batch; first += l->tile) {
    int64_t rows = batch - first < l->tile ? batch - first : l->tile;
    ops_contrastive tile = tile_of(l, batch, first, rows, scale_log);
    TRY(tile_cosines(o, l, batch, first, rows));
    TRY(call->contrastive_statistics(o, &tile));
  }
  ops_contrastive_end end = {batch,
                             l->options.row_share / (double)batch,
                             l->options.column_share / (double)batch,
                             l->row_lse,
                             l->positive,
                             l->column_max,
                             l->column_sum,
                             l->column_lse,
                             l->value};
  TRY(call->contrastive_finish(o, &end));
  TRY(call->clear(o, l->dtext_sum.data,
                  (size_t)(batch * l->embed) * ops_size_of(l->dtext_sum.type)));
  for (int64_t first = 0; first < batch; first += l->tile) {
    int64_t rows = batch - first < l->tile ? batch - first : l->tile;
    ops_contrastive tile = tile_of(l, batch, first, rows, scale_log);
    tile.dscale_log = dscale_log;
    if (batch > l->tile)
      TRY(tile_cosines(o, l, batch, first, rows)); /* else they are still valid */
    TRY(call->contrastive_gradient(o, &tile));
    TRY(tile_gradients(o, l, batch, first, rows));
  }
  if (l->options.normalizes) {
    TRY(loss_normalize_gradient(o, l, batch, l->image, l->image_norm, l->dimage));
    TRY(call->cast(o, batch * l->embed, l->dtext_sum, l->dunit));
    TRY(loss_normalize_gradient(o, l, batch, l->text, l->text_norm, l->dtext));
  } else {
    TRY(call->cast(o, batch * l->embed, l->dtext_sum, l->dtext));
  }
cleanup:
  return error;
}
