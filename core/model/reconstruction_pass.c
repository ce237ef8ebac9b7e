/* The decoder's forward pass, its error, and the backward pass. */
#include "model/reconstruction.h"
#include "model/tower_parts.h"

/* Samples [first, first + pass.count) of the micro-batch, one decoder chunk. */
typedef struct {
  const reconstruction_pass *p;
  tower_pass pass; /* of the decoder */
  int64_t first, part;
} decoding;

static tower_dense embedding(const reconstruction_pass *p) {
  return (tower_dense){p->config->image.width, p->config->reconstruction.width,
                       p->head->embed,         p->head->embed_bias,
                       p->head->embed_tensor,  tower_other_slot(&p->head->decoder)};
}

static tower_dense prediction(const reconstruction_pass *p) {
  tower_dense d = tower_projection(&p->head->decoder);
  d.bias = p->head->prediction_bias;
  return d;
}

/* The image tower's tokens of these samples, or the corresponding part of their gradient. */
static ops_buffer seen_tokens(const decoding *d, ops_buffer of_chunk) {
  const reconstruction_pass *p = d->p;
  int64_t place = d->first - p->image->first;
  return ops_at(of_chunk, place * p->b->extent.encoded * p->config->image.width);
}

/* Rows of the table in use. */
static int64_t table_rows(const decoding *d) {
  return 1 + d->pass.count * d->p->b->extent.encoded;
}

/* tokens = table[rows] + positions, each token of these samples. */
static ops_embed placing(const decoding *d) {
  const reconstruction_buffers *b = d->p->b;
  return (ops_embed){.batch = d->pass.count,
                     .length = b->extent.tokens,
                     .width = d->p->config->reconstruction.width,
                     .vocabulary = table_rows(d),
                     .ids = ops_at(d->p->lists->rows, d->first * b->extent.tokens),
                     .table = b->table,
                     .positions = b->positions,
                     .tokens = tower_input(&d->pass),
                     .dtokens = b->decoder.dx,
                     .dtable = b->table};
}

/* picked = wide[wanted]: the dropped patches' tokens. */
static ops_embed picking(const decoding *d) {
  const reconstruction_buffers *b = d->p->b;
  return (ops_embed){.batch = d->pass.count,
                     .length = b->extent.dropped,
                     .width = d->p->config->reconstruction.width,
                     .vocabulary = d->pass.count * b->extent.tokens,
                     .ids = ops_at(d->p->lists->wanted, d->first * b->extent.dropped),
                     .table = b->wide,
                     .positions = b->zeros,
                     .tokens = b->picked,
                     .dtokens = b->picked,
                     .dtable = b->wide};
}

/* Casts between the types of sums and of products; nothing if they share memory. */
static err cast(ops *o, int64_t count, ops_buffer from, ops_buffer to) {
  return from.data == to.data ? NULL : o->call->cast(o, count, from, to);
}

/* The table: the mask token, then the image tower's tokens projected to the decoder's width. */
static err make_table(const decoding *d) {
  const reconstruction_pass *p = d->p;
  const reconstruction_buffers *b = p->b;
  const tower_weights *w = p->image->w;
  const tower_dense embed = embedding(p);
  int64_t width = p->config->reconstruction.width;
  ops_gemm mask = {.m = 1,
                   .n = width,
                   .k = 1,
                   .transpose_b = true,
                   .a = b->one,
                   .b = ops_at(w->working, p->head->mask_token),
                   .c = b->table_compute};
  ops_gemm seen =
      tower_dense_op(&d->pass, &embed, d->pass.count * b->extent.encoded,
                     seen_tokens(d, p->image->a->last), ops_at(b->table_compute, width));
  err error = w->o->call->gemm(w->o, &mask);
  if (!error) error = tower_round_and_multiply(&d->pass, &embed, &seen);
  return error ? error : cast(w->o, table_rows(d) * width, b->table_compute, b->table);
}

static err forward(const decoding *d) {
  err error = NULL;
  const reconstruction_buffers *b = d->p->b;
  ops *o = d->pass.w->o;
  const tower_dense predict = prediction(d->p);
  const ops_embed place = placing(d);
  ops_embed pick = picking(d);
  ops_gemm pixels = tower_dense_op(&d->pass, &predict, d->pass.count * b->extent.dropped, b->picked,
                                   b->predictions);
  TRY(tower_begin_forward(&d->pass));
  TRY(make_table(d));
  TRY(o->call->embed(o, &place));
  TRY(tower_forward_tokens(&d->pass));
  if (o->compute == o->master)
    pick.table = b->decoder.last;
  else
    TRY(o->call->cast(o, tower_rows(&d->pass) * pick.width, b->decoder.last, b->wide));
  TRY(o->call->embed(o, &pick));
  TRY(tower_round_and_multiply(&d->pass, &predict, &pixels));
cleanup:
  return error;
}

/* The error, and its gradient in place of the predictions. */
static err measure(const decoding *d) {
  const reconstruction_pass *p = d->p;
  const reconstruction_buffers *b = p->b;
  const clip_config *c = p->config;
  double numbers = (double)p->batch * (double)b->extent.dropped * (double)b->extent.pixels;
  ops_pixel_error e = {.batch = d->pass.count,
                       .size = c->image_size,
                       .patch = c->patch,
                       .count = b->extent.dropped,
                       .scale = 2 * c->reconstruction_weight / numbers,
                       .images = ops_at(p->images, d->first * c->image_size * c->image_size * 3),
                       .index = ops_at(p->lists->dropped, d->first * b->extent.dropped),
                       .predictions = b->predictions,
                       .row_errors = b->row_errors,
                       .error = ops_at(b->errors, d->part),
                       .dpredictions = b->predictions};
  for (int i = 0; i < 3; i++) {
    e.mean[i] = c->mean[i];
    e.deviation[i] = c->deviation[i];
  }
  return d->pass.w->o->call->pixel_error(d->pass.w->o, &e);
}

/* dtable [vocabulary, width] master = the sums of e->dtokens, overwritten. */
static err gather_gradient(ops *o, const ops_embed *e) {
  err error = o->call->clear(o, e->dtable.data,
                             (size_t)(e->vocabulary * e->width) * ops_size_of(o->master));
  return error ? error : o->call->embed_gradient(o, e);
}

/* From the table's gradient to those of the mask token, the embedding and the tower's tokens. */
static err table_backward(const decoding *d) {
  const reconstruction_pass *p = d->p;
  const reconstruction_buffers *b = p->b;
  const tower_weights *w = p->image->w;
  int64_t width = p->config->reconstruction.width;
  const tower_dense_pass embed = {.d = embedding(p),
                                  .rows = d->pass.count * b->extent.encoded,
                                  .dy = ops_at(b->table_compute, width),
                                  .x = seen_tokens(d, p->image->a->last)};
  ops_gemm mask = {.m = width,
                   .n = 1,
                   .k = 1,
                   .transpose_a = true,
                   .accumulate = true,
                   .a = b->table_compute,
                   .b = b->one,
                   .c = ops_at(w->gradients, p->head->mask_token)};
  err error = cast(w->o, table_rows(d) * width, b->table, b->table_compute);
  if (!error) error = w->o->call->gemm(w->o, &mask);
  return error ? error
               : tower_dense_gradient(&d->pass, &embed, (ops_gemm){.c = seen_tokens(d, b->dlast)});
}

static err backward(const decoding *d) {
  err error = NULL;
  const reconstruction_buffers *b = d->p->b;
  ops *o = d->pass.w->o;
  const tower_dense_pass predict = {.d = prediction(d->p),
                                    .rows = d->pass.count * b->extent.dropped,
                                    .dy = b->predictions,
                                    .x = b->picked};
  const ops_embed place = placing(d), pick = picking(d);
  TRY(tower_begin_backward(&d->pass));
  /* the weights' gradient is computed before the picked tokens' gradient overwrites it */
  TRY(tower_dense_gradient(&d->pass, &predict, (ops_gemm){.c = b->picked}));
  TRY(gather_gradient(o, &pick));
  TRY(o->call->cast(o, tower_rows(&d->pass) * pick.width, b->wide, b->decoder.dnorm));
  TRY(tower_backward_tokens(&d->pass));
  TRY(gather_gradient(o, &place));
  TRY(table_backward(d));
cleanup:
  return error;
}

err reconstruction_run(const reconstruction_pass *p) {
  const reconstruction_extent *e = &p->b->extent;
  const tower_pass *image = p->image;
  int64_t parts_of_chunk = (e->image_chunk + e->chunk - 1) / e->chunk;
  int64_t part = p->first_part + image->first / e->image_chunk * parts_of_chunk;
  err error = tower_last_tokens(image);
  for (int64_t done = 0; done < image->count && !error; done += e->chunk, part++) {
    int64_t left = image->count - done;
    const decoding d = {.p = p,
                        .pass = {.t = &p->head->decoder,
                                 .w = image->w,
                                 .a = &p->b->decoder,
                                 .count = left < e->chunk ? left : e->chunk},
                        .first = image->first + done,
                        .part = part};
    error = forward(&d);
    if (!error) error = measure(&d);
    if (!error) error = backward(&d);
  }
  return error;
}
