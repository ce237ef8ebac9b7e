/* Symmetric InfoNCE over a batch of features, in tiles: memory grows linearly with the batch.
 * docs/method.md: L2 norm with + 1e-8, learned scale, mean of both directions. */
#ifndef FLIP_MODEL_LOSS_H
#define FLIP_MODEL_LOSS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "comm/comm.h"
#include "ops/cut.h"
#include "ops/ops.h"

/* Which features are compared, and in which directions. */
typedef struct {
  bool normalizes;                        /* features are normalised to unit length first */
  double scale_log_least, scale_log_most; /* bounds of the scale's logarithm */
  bool learns_scale;                      /* false: the scale gets no gradient */
  double row_share, column_share; /* weights of images over texts and texts over images; they add to
                                   * 1 */
} loss_options;

/* What a batch that is distributed over ranks needs in addition. */
typedef struct {
  comm *ranks;                                      /* NULL: the whole batch is local; not owned */
  int64_t own, batch;                               /* local rows, and rows of all ranks */
  ops_buffer image_all, text_all;                   /* [batch, embed] what is compared */
  ops_buffer text_lse, image_lse_all, text_lse_all; /* [own], [batch], [batch] */
  ops_buffer values;                                /* [ranks] parts of the loss */
} loss_shared;

typedef struct {
  loss_options options; /* set by the caller after laying out */
  loss_shared shared;   /* shared.ranks too */
  int64_t batch, embed, tile;
  ops_buffer image, text;   /* [batch, embed] features, filled by the towers */
  ops_buffer dimage, dtext; /* their gradients */
  ops_buffer image_unit, text_unit, image_norm, text_norm;
  ops_buffer dunit;           /* [batch, embed] compute: d loss / d unit image, then unit text */
  ops_buffer dtext_sum;       /* [batch, embed] master */
  ops_buffer cosines;         /* [tile, batch] master */
  ops_buffer cosines_compute; /* [tile, batch] compute; the same memory where types are equal */
  ops_buffer row_lse, positive, column_max, column_sum, column_lse, value;
  ops_buffer unused; /* [1] master: the gradient of a scale that is not learned */
} loss_buffers;

/* `batch` local rows, on each of that many ranks. */
void loss_lay_out(loss_buffers *l, int64_t batch, int ranks, int64_t embed, ops_type compute,
                  ops_type master, ops_block *block);

/* Loss of the first `batch` rows (all of them if the batch is distributed over ranks: then of the
 * whole batch), stored in `value`; fills dimage and dtext, adds to dscale_log. */
err loss_compute(ops *o, const loss_buffers *l, int64_t batch, ops_buffer scale_log,
                 ops_buffer dscale_log) ERR_MUST_CHECK;

#endif
