/* The reference backend: every op of ops.h in double precision, written for plainness. It runs the
 * whole model in double for finite differences, and is what the CPU and CUDA backends are compared
 * with, op by op. Buffers may be of any type: values are widened to double and narrowed back. */
#ifndef FLIP_OPS_REFERENCE_H
#define FLIP_OPS_REFERENCE_H

#include "ops/ops.h"

/* compute and master double. */
err ops_create_reference(ops **out);

double reference_get(ops_buffer b, int64_t i);
void reference_set(ops_buffer b, int64_t i, double value);
void reference_add(ops_buffer b, int64_t i, double value);

#endif
