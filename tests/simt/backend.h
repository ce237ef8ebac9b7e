/* The kernels of core/cuda/ as a backend, on host memory under the shim: what the model and the op
 * tests run on where there is no GPU. Products are a plain loop, their epilogues the kernels. Each
 * launch gets scratch of exactly the size that its launcher's function says. */
#ifndef FLIP_SIMT_BACKEND_H
#define FLIP_SIMT_BACKEND_H

#include "ops/ops.h"

/* compute OPS_F32 or OPS_BF16; master fp32. Its memory is separate, as a device's: the host faults
 * where it touches a buffer but by upload and download. */
err ops_create_simt(ops_type compute, ops **out) ERR_MUST_CHECK;

#endif
