/* Shared by loss.c and loss_shared.c. Internal to model/. */
#ifndef FLIP_MODEL_LOSS_INSIDE_H
#define FLIP_MODEL_LOSS_INSIDE_H

#include "model/loss.h"

err loss_normalize(ops *o, const loss_buffers *l, int64_t rows, ops_buffer x, ops_buffer y,
                   ops_buffer norms);
/* From l->dunit. */
err loss_normalize_gradient(ops *o, const loss_buffers *l, int64_t rows, ops_buffer x,
                            ops_buffer norms, ops_buffer dx);
/* The running maxima start low and finite, so that infinity minus infinity does not occur. */
err loss_start_columns(ops *o, const loss_buffers *l, int64_t columns);
/* loss_compute where l->shared.ranks is not NULL. */
err loss_compute_shared(ops *o, const loss_buffers *l, ops_buffer scale_log,
                        ops_buffer dscale_log) ERR_MUST_CHECK;

#endif
