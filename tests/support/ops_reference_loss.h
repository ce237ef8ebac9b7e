/* The part of the reference backend that is in a file of its own. Internal to it. */
#ifndef FLIP_SUPPORT_OPS_REFERENCE_LOSS_H
#define FLIP_SUPPORT_OPS_REFERENCE_LOSS_H

#include "ops/ops.h"

err reference_contrastive_statistics(ops *o, const ops_contrastive *c);
err reference_contrastive_finish(ops *o, const ops_contrastive_end *c);
err reference_contrastive_gradient(ops *o, const ops_contrastive *c);
err reference_pixel_error(ops *o, const ops_pixel_error *p);

#endif
