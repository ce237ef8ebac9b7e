/* The contrastive loss of a batch that is distributed over ranks.
 *
 * A rank has the features of its own samples and gathers the others'. It computes the rows of its
 * own images against all texts, and of its own texts against all images: first their log-sum-exps,
 * then, after gathering those of all ranks, the gradients of its own features. So no rank holds or
 * computes the whole matrix, no gradient is summed over ranks, and each number is computed by one
 * rank. Each pair is computed twice, by its image's rank and by its text's: a rank's share is twice
 * the whole loss's products divided by the number of ranks.
 *
 * Bytes that a rank receives: 2 batch * embed of compute type, 2 batch of master type. */
#include "model/loss_inside.h"

/* One direction: own rows of `own` against all rows of `other`. */
typedef struct {
  ops_buffer own, other; /* [own rows, embed], [batch, embed] */
  ops_buffer row_lse;    /* [own rows]: of these rows */
  ops_buffer column_lse; /* [batch]: of the other direction's rows, gathered */
  ops_buffer dfeatures;  /* [own rows, embed] compute */
  double row_weight, column_weight;
  ops_buffer dscale_log;
} direction;

static ops_contrastive tile_of(const loss_buffers *l, const direction *d, int64_t first,
                               int64_t rows, ops_buffer scale_log) {
  const loss_shared *s = &l->shared;
  int64_t before = s->ranks->rank * s->own;
  return (ops_contrastive){.rows = rows,
                           .columns = s->batch,
                           .first_row = before + first,
                           .scale_log_least = l->options.scale_log_least,
                           .scale_log_most = l->options.scale_log_most,
                           .cosines = l->cosines,
                           .scale_log = scale_log,
                           .row_lse = ops_at(d->row_lse, first),
                           .positive = ops_at(l->positive, first),
                           .column_max = l->column_max,
                           .column_sum = l->column_sum,
                           .column_lse = d->column_lse,
                           .row_weight = d->row_weight,
                           .column_weight = d->column_weight,
                           .dscale_log = d->dscale_log};
}

static err cosines(ops *o, const loss_buffers *l, const direction *d, int64_t first, int64_t rows) {
  ops_gemm g = {.m = rows,
                .n = l->shared.batch,
                .k = l->embed,
                .transpose_b = true,
                .a = ops_at(d->own, first * l->embed),
                .b = d->other,
                .c = l->cosines};
  return o->call->gemm(o, &g);
}

static int64_t rows_of_tile(const loss_buffers *l, int64_t first) {
  int64_t left = l->shared.own - first;
  return left < l->tile ? left : l->tile;
}

static err statistics(ops *o, const loss_buffers *l, const direction *d, ops_buffer scale_log) {
  /* the op also computes column statistics, over these rows only: not used here */
  err error = loss_start_columns(o, l, l->shared.batch);
  for (int64_t first = 0; first < l->shared.own && !error; first += l->tile) {
    int64_t rows = rows_of_tile(l, first);
    ops_contrastive tile = tile_of(l, d, first, rows, scale_log);
    error = cosines(o, l, d, first, rows);
    if (!error) error = o->call->contrastive_statistics(o, &tile);
  }
  return error;
}

static err gradients(ops *o, const loss_buffers *l, const direction *d, ops_buffer scale_log) {
  int64_t batch = l->shared.batch;
  err error = NULL;
  for (int64_t first = 0; first < l->shared.own && !error; first += l->tile) {
    int64_t rows = rows_of_tile(l, first);
    ops_contrastive tile = tile_of(l, d, first, rows, scale_log);
    ops_gemm g = {.m = rows,
                  .n = l->embed,
                  .k = batch,
                  .a = l->cosines_compute,
                  .b = d->other,
                  .c = ops_at(d->dfeatures, first * l->embed)};
    TRY(cosines(o, l, d, first, rows));
    TRY(o->call->contrastive_gradient(o, &tile));
    if (l->cosines_compute.data != l->cosines.data)
      TRY(o->call->cast(o, rows * batch, l->cosines, l->cosines_compute));
    TRY(o->call->gemm(o, &g));
  }
cleanup:
  return error;
}

/* This rank's part of the loss, in both directions, and then the sum over ranks. */
static err finish(ops *o, const loss_buffers *l) {
  const loss_shared *s = &l->shared;
  ops_contrastive_end end = {.count = s->own,
                             .row_weight = l->options.row_share / (double)s->batch,
                             .column_weight = l->options.column_share / (double)s->batch,
                             .row_lse = l->row_lse,
                             .positive = l->positive,
                             .column_max = s->text_lse, /* lse = lse + log 1 */
                             .column_sum = l->column_sum,
                             .column_lse = l->column_lse,
                             .loss = l->value};
  err error = o->call->fill(o, s->own, l->column_sum, 1);
  if (!error) error = o->call->contrastive_finish(o, &end);
  /* all in one exchange: every rank adds the parts in the same order */
  if (!error) error = s->ranks->call->gather(s->ranks, 1, l->value, s->values);
  return error ? error : o->call->sum(o, s->ranks->size, s->values, l->value);
}

err loss_compute_shared(ops *o, const loss_buffers *l, ops_buffer scale_log,
                        ops_buffer dscale_log) {
  const loss_shared *s = &l->shared;
  comm *ranks = s->ranks;
  int64_t own = s->own, elements = own * l->embed;
  double image_weight = l->options.row_share / (double)s->batch;
  double text_weight = l->options.column_share / (double)s->batch;
  bool is_unit = l->options.normalizes;
  ops_buffer image = is_unit ? l->image_unit : l->image, text = is_unit ? l->text_unit : l->text;
  direction images = {
      image,        s->text_all, l->row_lse, s->text_lse_all, is_unit ? l->dunit : l->dimage,
      image_weight, text_weight, dscale_log};
  direction texts = {
      text,        s->image_all, s->text_lse, s->image_lse_all, is_unit ? l->dunit : l->dtext,
      text_weight, image_weight, l->unused};
  err error = NULL;
  if (is_unit) {
    TRY(loss_normalize(o, l, own, l->image, l->image_unit, l->image_norm));
    TRY(loss_normalize(o, l, own, l->text, l->text_unit, l->text_norm));
  }
  TRY(o->call->fill(o, 1, l->unused, 0));
  if (!l->options.learns_scale) images.dscale_log = l->unused;
  TRY(ranks->call->gather(ranks, elements, image, s->image_all));
  TRY(ranks->call->gather(ranks, elements, text, s->text_all));
  TRY(statistics(o, l, &texts, scale_log));
  TRY(statistics(o, l, &images, scale_log));
  TRY(ranks->call->gather(ranks, own, l->row_lse, s->image_lse_all));
  TRY(ranks->call->gather(ranks, own, s->text_lse, s->text_lse_all));
  TRY(finish(o, l));
  TRY(gradients(o, l, &images, scale_log));
  if (is_unit) TRY(loss_normalize_gradient(o, l, own, l->image, l->image_norm, l->dimage));
  TRY(gradients(o, l, &texts, scale_log));
  if (is_unit) TRY(loss_normalize_gradient(o, l, own, l->text, l->text_norm, l->dtext));
cleanup:
  return error;
}
