/* Opens a backend according to the settings `device`, `precision` and `threads`. The CUDA backend
 * is a plugin, so that the same program runs where no NVIDIA library is installed. */
#ifndef FLIP_OPS_DEVICE_H
#define FLIP_OPS_DEVICE_H

#include "config/settings.h"
#include "ops/ops.h"
#include "ops/plugin.h"

typedef struct {
  ops *o;                       /* owned by the caller: ops_destroy */
  int precision;                /* PRECISION_*, never auto: the resolved precision */
  double gemm_flops_per_second; /* matrix-product rate at that precision, measured just now */
  char note[512];               /* why `device: auto` did not use the GPU; "": nothing to
                                 * report */
} ops_opened;

/* precision auto: bf16 on a GPU; on the CPU the faster of the two by measured matrix products,
 * where bf16 must be a tenth faster, since fp32 is exact. device auto: the GPU if there is one and
 * its plugin loads, else the CPU. ERR_UNSUPPORTED, in one sentence, for what this machine or build
 * cannot do, and for sizes beyond the backend's limits. */
err ops_open(const settings *s, ops_opened *out) ERR_MUST_CHECK;
/* The same without measuring, for a known precision (not auto). */
err ops_open_as(const settings *s, int precision, ops **out) ERR_MUST_CHECK;
/* Checks whether an opened backend can train the model of `s` with a vocabulary of this size:
 * limits that do not apply to evaluation. */
err ops_check_training(const ops *o, const settings *s, int64_t vocabulary) ERR_MUST_CHECK;
/* Matrix-product rate of the device given in `s`, in FLOP/s, for OPS_F32 or OPS_BF16. */
err ops_measure_gemm(const settings *s, ops_type compute, double *flops_per_second) ERR_MUST_CHECK;

enum { OPS_LIBRARIES = 2 * OPS_PLUGIN_LIBRARIES };
/* Names and versions of the linked compute libraries and of those loaded by the backend of `o`;
 * returns their number. */
int ops_libraries(const ops *o, ops_library list[OPS_LIBRARIES]);

#endif
