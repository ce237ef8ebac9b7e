/* Which hardware a run computes on, and in which type: opens a backend by the settings `device`,
 * `precision` and `threads`. The CUDA backend is a plugin, so that the same program runs where no
 * NVIDIA library is installed. */
#ifndef FLIP_OPS_DEVICE_H
#define FLIP_OPS_DEVICE_H

#include "config/settings.h"
#include "ops/ops.h"

typedef struct {
  ops *o;                       /* the caller's: ops_destroy */
  int precision;                /* PRECISION_*, never auto: what auto became */
  double gemm_flops_per_second; /* matrix-product rate at that precision, measured just now */
  char note[512];               /* why `device: auto` did not take the GPU; "" if nothing to say */
} ops_opened;

/* precision auto: bf16 on a GPU; on the CPU the faster of the two by measured matrix products,
 * where bf16 must win by a tenth, since fp32 is exact. device auto: the GPU if there is one and
 * its plugin loads, else the CPU. ERR_UNSUPPORTED, in one sentence, for what this machine or build
 * cannot do. */
err ops_open(const settings *s, ops_opened *out) ERR_MUST_CHECK;
/* The same without measuring, for a precision that is known (not auto). */
err ops_open_as(const settings *s, int precision, ops **out) ERR_MUST_CHECK;
/* Matrix-product rate of the device that `s` names, in FLOP/s, for OPS_F32 or OPS_BF16. */
err ops_measure_gemm(const settings *s, ops_type compute, double *flops_per_second) ERR_MUST_CHECK;

/* What is asked of a plugin's device. */
typedef struct {
  ops_type compute;
  bool is_narrow;        /* dense layers in 8 bits (ops_gemm.may_narrow) */
  bool is_deterministic; /* the same bits from run to run */
} ops_request;

/* What a plugin exports under the name OPS_PLUGIN_SYMBOL. */
#define OPS_PLUGIN_VERSION 4
#define OPS_PLUGIN_SYMBOL "flip_ops_plugin"
typedef struct {
  int version;        /* OPS_PLUGIN_VERSION it was built for */
  err (*probe)(void); /* NULL when a device can be used; else why not, in one sentence */
  err (*create)(const ops_request *request, ops **out);
  /* Rate of large products in FLOP/s, at the request's type. */
  err (*measure_gemm)(const ops_request *request, double *flops_per_second);
} ops_plugin;

#endif
