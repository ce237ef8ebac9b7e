/* Describes attention to cuDNN, and lists the engines that can run it.
 *
 * Two forms. SDPA_SINGLE is one operation: forward only, without a mask; its backward counterpart
 * exists in the header, but no graph can be built from it (9.19). SDPA_WRITTEN_OUT is the same
 * arithmetic as products, pointwise operations and reductions, which cuDNN's flash attention
 * engines recognise as a pattern: the operations and their order are those of its documentation.
 *
 * Describing and querying engines needs no GPU: tests/cuda does both for GPUs that are not
 * present. */
#ifndef FLIP_CUDA_SDPA_GRAPH_H
#define FLIP_CUDA_SDPA_GRAPH_H

#include <cudnn.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  int64_t batch, tokens, heads, head_width;
  bool is_backward, is_causal;
  bool is_deterministic; /* the gradient by sums in a fixed order */
} sdpa_shape;

typedef enum { SDPA_WRITTEN_OUT, SDPA_SINGLE, SDPA_FORMS } sdpa_form;

/* The tensors with memory of their own, by unique id. In the strides of ops_attention. */
typedef enum {
  SDPA_NONE,
  SDPA_Q,
  SDPA_K,
  SDPA_V,
  SDPA_OUT,
  SDPA_STATS,  /* ops_attention.lse */
  SDPA_SCALE,  /* by value: 1 / sqrt(head_width) */
  SDPA_MASKED, /* by value: minus infinity; causal only */
  SDPA_ONE,    /* by value: 1; backward only, as all that follow */
  SDPA_DOUT,
  SDPA_DQ,
  SDPA_DK,
  SDPA_DV,
  SDPA_OUT_SUMS, /* [batch, heads, tokens] fp32 scratch: sums of dout * out */
  SDPA_DQ_SUMS,  /* [batch, heads, tokens, head_width] fp32 scratch; not if deterministic */
  SDPA_TENSORS
} sdpa_tensor;

enum { SDPA_PARTS = 96, SDPA_OPERATIONS = 32 };

typedef struct {
  cudnnStatus_t status; /* of the first failed call; later calls are skipped */
  cudnnBackendDescriptor_t graph;
  cudnnBackendDescriptor_t operations[SDPA_OPERATIONS], parts[SDPA_PARTS];
  int operation_count, part_count;
  int64_t next_id;        /* of tensors without memory */
  bool has[SDPA_TENSORS]; /* memory must be given for these */
} sdpa_graph;

/* The target of a graph: the device of `handle`; if that is NULL, these properties (a finalised
 * CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR). */
typedef struct {
  cudnnHandle_t handle;
  cudnnBackendDescriptor_t properties;
} sdpa_target;

/* Finalised; owned by the caller: sdpa_graph_free, also after a failure. CUDNN_STATUS_NOT_SUPPORTED
 * for a shape that has no such form. */
cudnnStatus_t sdpa_graph_make(const sdpa_shape *shape, sdpa_form form, const sdpa_target *target,
                              sdpa_graph *g);
void sdpa_graph_free(sdpa_graph *g);

/* Engine configurations that the library proposes for the graph, best first, at most `limit`; with
 * `is_deterministic` none that declares that its results are not bit-reproducible. Owned by the
 * caller: cudnnBackendDestroyDescriptor each; the graph must outlive them. *count is 0 after a
 * failure. */
cudnnStatus_t sdpa_engines_find(const sdpa_graph *g, const sdpa_target *target,
                                bool is_deterministic, int limit, cudnnBackendDescriptor_t *found,
                                int *count);
/* An executable plan, owned by the caller, and the scratch it needs; *plan is NULL after a
 * failure. */
cudnnStatus_t sdpa_engine_plan(cudnnBackendDescriptor_t configuration, const sdpa_target *target,
                               cudnnBackendDescriptor_t *plan, int64_t *workspace_bytes);

#endif
