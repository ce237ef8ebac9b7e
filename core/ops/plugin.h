/* What a backend exports: how it is opened, what it cannot do, and what it computes with. The CPU's
 * table is linked in (cpu/plugin.h); CUDA's is looked up by name in a shared object (device.c). */
#ifndef FLIP_OPS_PLUGIN_H
#define FLIP_OPS_PLUGIN_H

#include "ops/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  ops_type compute;             /* OPS_F32 or OPS_BF16 */
  bool is_narrow;               /* dense layers in 8 bits (ops.is_narrow) */
  bool is_deterministic;        /* the same bits from run to run */
  int threads;                  /* of the CPU backend; 0: all that this process may use */
  bool (*is_stop_wanted)(void); /* ends a wait for other processes; NULL: never. A plugin has no
                                 * other view of the program's signals. */
} ops_request;

/* The largest sizes that the kernels take; 0: any. */
typedef struct {
  int64_t widest_norm;   /* columns of a layer norm */
  int64_t widest_head;   /* of attention */
  int64_t longest_table; /* rows of an embedding table whose gradient is computed */
  int64_t most_attended; /* tokens of ops_attended */
} ops_limits;

typedef struct {
  const char *name; /* the key of `libraries` in the start event (docs/events.md) */
  char version[128];
} ops_library;

/* Libraries of one plugin at most. */
enum { OPS_PLUGIN_LIBRARIES = 2 };

#define OPS_PLUGIN_VERSION 13
#define OPS_PLUGIN_SYMBOL "flip_ops_plugin"
typedef struct ops_plugin {
  int version;      /* OPS_PLUGIN_VERSION it was built for */
  const char *name; /* as in the setting `device` */
  ops_limits limits;
  bool (*has_fast_bf16)(void); /* precision auto is bf16, without measuring which is faster */
  err (*probe)(void);          /* NULL if a device can be used; else the reason, in one sentence */
  err (*create)(const ops_request *request, ops **out);
  /* Rate of large products in FLOP/s in the request's type, ignoring dense layers in 8 bits.
   * ERR_UNSUPPORTED for a type for which this device has no matrix products. */
  err (*measure_gemm)(const ops_request *request, double *flops_per_second);
  /* Fills `list` and returns how many there are. */
  int (*libraries)(ops_library list[OPS_PLUGIN_LIBRARIES]);
} ops_plugin;

#ifdef __cplusplus
}
#endif
#endif
