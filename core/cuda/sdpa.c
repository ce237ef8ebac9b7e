/* Attention by cuDNN 9: scaled dot-product attention as one operation of its graph interface.
 *
 * Every shape's operation is described once, the library's heuristics name engines for it, and the
 * first one that can be planned is kept. Where none can be, the shape is remembered as refused. In
 * a deterministic run engines that say of themselves that they are not are passed over. */
#include <cudnn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cuda/cuda.h"

enum { SDPA_SHAPES = 64, SDPA_ENGINES = 8, SDPA_WIDEST_HEAD = 128 };

/* Tensors of both directions, by unique id. */
typedef enum { T_Q, T_K, T_V, T_OUT, T_STATS, T_SCALE, T_DOUT, T_DQ, T_DK, T_DV, T_COUNT } tensor;

typedef struct {
  int64_t batch, tokens, heads, head_width;
  bool is_backward;
} sdpa_shape;

typedef struct {
  sdpa_shape shape;
  cudnnBackendDescriptor_t plan; /* NULL: cuDNN refuses this shape */
  int64_t workspace_bytes;
} sdpa_plan;

struct sdpa_plans {
  cudnnHandle_t library;
  sdpa_plan items[SDPA_SHAPES];
  size_t count;
};

static err dnn_error(cudnnStatus_t status, const char *what) {
  if (status == CUDNN_STATUS_SUCCESS) return NULL;
  return err_new(ERR_UNSUPPORTED, "cuDNN: %s: %s", what, cudnnGetErrorString(status));
}

size_t sdpa_library_version(void) {
  return cudnnGetVersion();
}

err sdpa_plans_create(ops *o, sdpa_plans **out) {
  sdpa_plans *plans = mem_zeroed(1, sizeof *plans);
  if (!plans) return mem_error(sizeof *plans, "plans of attention");
  *out = plans;
  err error = dnn_error(cudnnCreate(&plans->library), "starting");
  return error ? error
               : dnn_error(cudnnSetStream(plans->library, cuda_of(o)->compute), "taking a stream");
}

void sdpa_plans_destroy(sdpa_plans *plans) {
  if (!plans) return;
  for (size_t i = 0; i < plans->count; i++)
    if (plans->items[i].plan) (void)cudnnBackendDestroyDescriptor(plans->items[i].plan);
  if (plans->library) (void)cudnnDestroy(plans->library);
  free(plans);
}

/* The library's calls while a plan is made: the first failure stays, later calls do nothing. */
typedef struct {
  cudnnStatus_t status;
} maker;

static cudnnBackendDescriptor_t start(maker *m, cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t made = NULL;
  if (m->status == CUDNN_STATUS_SUCCESS) m->status = cudnnBackendCreateDescriptor(type, &made);
  return made;
}

static void set(maker *m, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count, const void *values) {
  if (m->status == CUDNN_STATUS_SUCCESS)
    m->status = cudnnBackendSetAttribute(d, name, type, count, values);
}

static void set_descriptor(maker *m, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                           cudnnBackendDescriptor_t value) {
  set(m, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static void finalize(maker *m, cudnnBackendDescriptor_t d) {
  if (m->status == CUDNN_STATUS_SUCCESS) m->status = cudnnBackendFinalize(d);
}

static cudnnBackendDescriptor_t make_tensor(maker *m, tensor which, cudnnDataType_t type,
                                            const int64_t dims[4], const int64_t strides[4]) {
  cudnnBackendDescriptor_t d = start(m, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  int64_t id = (int64_t)which + 1, alignment = which == T_SCALE ? 4 : 16;
  bool is_by_value = which == T_SCALE;
  set(m, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
  set(m, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
  set(m, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
  set(m, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
  set(m, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
  if (is_by_value) set(m, d, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &is_by_value);
  finalize(m, d);
  return d;
}

/* All as [batch, heads, tokens, width], in the strides of ops_attention. */
static void make_tensors(maker *m, const sdpa_shape *s, cudnnBackendDescriptor_t made[T_COUNT]) {
  int64_t width = s->heads * s->head_width;
  const int64_t dims[4] = {s->batch, s->heads, s->tokens, s->head_width};
  const int64_t packed[4] = {3 * s->tokens * width, s->head_width, 3 * width, 1};
  const int64_t plain[4] = {s->tokens * width, s->head_width, width, 1};
  const int64_t row_dims[4] = {s->batch, s->heads, s->tokens, 1};
  const int64_t rows[4] = {s->heads * s->tokens, s->tokens, 1, 1};
  const int64_t one[4] = {1, 1, 1, 1};
  const tensor inside[] = {T_Q, T_K, T_V, T_DQ, T_DK, T_DV};
  for (int i = 0; i < (s->is_backward ? 6 : 3); i++)
    made[inside[i]] = make_tensor(m, inside[i], CUDNN_DATA_BFLOAT16, dims, packed);
  made[T_OUT] = make_tensor(m, T_OUT, CUDNN_DATA_BFLOAT16, dims, plain);
  if (s->is_backward) made[T_DOUT] = make_tensor(m, T_DOUT, CUDNN_DATA_BFLOAT16, dims, plain);
  made[T_STATS] = make_tensor(m, T_STATS, CUDNN_DATA_FLOAT, row_dims, rows);
  made[T_SCALE] = make_tensor(m, T_SCALE, CUDNN_DATA_FLOAT, one, one);
}

static cudnnBackendDescriptor_t make_operation(maker *m, const sdpa_shape *s,
                                               cudnnBackendDescriptor_t tensors[T_COUNT]) {
  static const struct {
    tensor which;
    cudnnBackendAttributeName_t name;
  } forward[] = {{T_Q, CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC},
                 {T_K, CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC},
                 {T_V, CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC},
                 {T_OUT, CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC},
                 {T_STATS, CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC},
                 {T_SCALE, CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC}},
    backward[] = {{T_Q, CUDNN_ATTR_OPERATION_SDPA_BWD_QDESC},
                  {T_K, CUDNN_ATTR_OPERATION_SDPA_BWD_KDESC},
                  {T_V, CUDNN_ATTR_OPERATION_SDPA_BWD_VDESC},
                  {T_OUT, CUDNN_ATTR_OPERATION_SDPA_BWD_ODESC},
                  {T_STATS, CUDNN_ATTR_OPERATION_SDPA_BWD_STATSDESC},
                  {T_SCALE, CUDNN_ATTR_OPERATION_SDPA_BWD_SCALEDESC},
                  {T_DOUT, CUDNN_ATTR_OPERATION_SDPA_BWD_DODDESC},
                  {T_DQ, CUDNN_ATTR_OPERATION_SDPA_BWD_DQDESC},
                  {T_DK, CUDNN_ATTR_OPERATION_SDPA_BWD_DKDESC},
                  {T_DV, CUDNN_ATTR_OPERATION_SDPA_BWD_DVDESC}};
  cudnnBackendDescriptor_t d =
      start(m, s->is_backward ? CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR
                              : CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
  size_t count =
      s->is_backward ? sizeof backward / sizeof *backward : sizeof forward / sizeof *forward;
  for (size_t i = 0; i < count; i++) {
    cudnnBackendAttributeName_t name = s->is_backward ? backward[i].name : forward[i].name;
    set_descriptor(m, d, name, tensors[s->is_backward ? backward[i].which : forward[i].which]);
  }
  finalize(m, d);
  return d;
}

/* True if the engine of this configuration gives the same bits each time, as far as it says. */
static bool is_deterministic(cudnnBackendDescriptor_t configuration) {
  cudnnBackendDescriptor_t engine = NULL;
  cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
  int64_t count = 0;
  bool is_same = false;
  if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine)) return false;
  if (!cudnnBackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_ENGINE,
                                CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &engine) &&
      !cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes)) {
    is_same = true;
    for (int64_t i = 0; i < count; i++)
      is_same &= notes[i] != CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
  }
  (void)cudnnBackendDestroyDescriptor(engine);
  return is_same;
}

/* A plan of one engine configuration, or NULL. */
static cudnnBackendDescriptor_t plan_engine(cudnnHandle_t library,
                                            cudnnBackendDescriptor_t configuration,
                                            int64_t workspace_limit, int64_t *workspace_bytes) {
  maker m = {CUDNN_STATUS_SUCCESS};
  int64_t count = 0;
  cudnnBackendDescriptor_t plan = start(&m, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  set(&m, plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &library);
  set_descriptor(&m, plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
  finalize(&m, plan);
  if (m.status == CUDNN_STATUS_SUCCESS)
    m.status = cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                        CUDNN_TYPE_INT64, 1, &count, workspace_bytes);
  if (m.status == CUDNN_STATUS_SUCCESS && *workspace_bytes <= workspace_limit) return plan;
  if (plan) (void)cudnnBackendDestroyDescriptor(plan);
  return NULL;
}

/* The first engine that the heuristics name and that can be planned. */
static void choose_engine(ops *o, cudnnBackendDescriptor_t graph, sdpa_plan *p) {
  cuda_state *state = cuda_of(o);
  /* backward keeps a fp32 sum of dq, more than the shared workspace: scratch is grown for it */
  const int64_t limit = (int64_t)4 << 30;
  maker m = {CUDNN_STATUS_SUCCESS};
  cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
  cudnnBackendDescriptor_t found[SDPA_ENGINES] = {0};
  int64_t count = 0;
  cudnnBackendDescriptor_t heuristic = start(&m, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  set_descriptor(&m, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  set(&m, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  finalize(&m, heuristic);
  for (int i = 0; i < SDPA_ENGINES; i++) found[i] = start(&m, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
  if (m.status == CUDNN_STATUS_SUCCESS)
    m.status = cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                        CUDNN_TYPE_BACKEND_DESCRIPTOR, SDPA_ENGINES, &count, found);
  if (m.status != CUDNN_STATUS_SUCCESS) count = 0;
  if (count > SDPA_ENGINES) count = SDPA_ENGINES;
  for (int64_t i = 0; i < count && !p->plan; i++) {
    if (state->request.is_deterministic && !is_deterministic(found[i])) continue;
    p->plan = plan_engine(state->attentions->library, found[i], limit, &p->workspace_bytes);
  }
  for (int i = 0; i < SDPA_ENGINES; i++)
    if (found[i]) (void)cudnnBackendDestroyDescriptor(found[i]);
  if (heuristic) (void)cudnnBackendDestroyDescriptor(heuristic);
}

static void make_plan(ops *o, sdpa_plan *p) {
  maker m = {CUDNN_STATUS_SUCCESS};
  cudnnBackendDescriptor_t tensors[T_COUNT] = {0};
  make_tensors(&m, &p->shape, tensors);
  cudnnBackendDescriptor_t operation = make_operation(&m, &p->shape, tensors);
  cudnnBackendDescriptor_t graph = start(&m, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  set_descriptor(&m, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
  set(&m, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
      &cuda_of(o)->attentions->library);
  finalize(&m, graph);
  if (m.status == CUDNN_STATUS_SUCCESS) choose_engine(o, graph, p);
  if (graph) (void)cudnnBackendDestroyDescriptor(graph);
  if (operation) (void)cudnnBackendDestroyDescriptor(operation);
  for (int i = 0; i < T_COUNT; i++)
    if (tensors[i]) (void)cudnnBackendDestroyDescriptor(tensors[i]);
}

static sdpa_plan *find(sdpa_plans *plans, const sdpa_shape *s) {
  for (size_t i = 0; i < plans->count; i++) {
    const sdpa_shape *other = &plans->items[i].shape;
    if (other->batch == s->batch && other->tokens == s->tokens && other->heads == s->heads &&
        other->head_width == s->head_width && other->is_backward == s->is_backward)
      return &plans->items[i];
  }
  return NULL;
}

static sdpa_shape shape_of(const ops_attention *a, bool is_backward) {
  return (sdpa_shape){a->batch, a->tokens, a->heads, a->head_width, is_backward};
}

bool sdpa_can(ops *o, const ops_attention *a, bool is_backward) {
  cuda_state *state = cuda_of(o);
  sdpa_plans *plans = state->attentions;
  if (a->qkv.type != OPS_BF16 || a->is_causal || a->key_counts.data || a->head_width % 8 != 0 ||
      a->head_width > SDPA_WIDEST_HEAD || (uintptr_t)a->qkv.data % 16 != 0 ||
      (uintptr_t)a->out.data % 16 != 0)
    return false;
  sdpa_shape shape = shape_of(a, is_backward);
  sdpa_plan *p = find(plans, &shape);
  if (!p) {
    if (state->is_recording || plans->count == SDPA_SHAPES) return false;
    p = &plans->items[plans->count++];
    *p = (sdpa_plan){.shape = shape};
    make_plan(o, p);
  }
  return p->plan != NULL;
}

err sdpa_run(ops *o, const ops_attention *a, bool is_backward) {
  cuda_state *state = cuda_of(o);
  sdpa_shape shape = shape_of(a, is_backward);
  const sdpa_plan *p = find(state->attentions, &shape);
  int64_t width = a->heads * a->head_width, ids[T_COUNT], count = is_backward ? T_COUNT : T_DOUT;
  float scale = (float)(1 / sqrt((double)a->head_width));
  void *addresses[T_COUNT] = {a->qkv.data,
                              ops_at(a->qkv, width).data,
                              ops_at(a->qkv, 2 * width).data,
                              a->out.data,
                              a->lse.data,
                              &scale,
                              a->dout.data,
                              a->dqkv.data,
                              ops_at(a->dqkv, width).data,
                              ops_at(a->dqkv, 2 * width).data};
  void *workspace;
  err error = cuda_scratch(o, (size_t)p->workspace_bytes, &workspace);
  if (error) return error;
  for (int64_t i = 0; i < count; i++) ids[i] = i + 1;
  maker m = {CUDNN_STATUS_SUCCESS};
  cudnnBackendDescriptor_t pack = start(&m, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  set(&m, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids);
  set(&m, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, addresses);
  set(&m, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
  finalize(&m, pack);
  if (m.status == CUDNN_STATUS_SUCCESS)
    m.status = cudnnBackendExecute(state->attentions->library, p->plan, pack);
  if (pack) (void)cudnnBackendDestroyDescriptor(pack);
  return dnn_error(m.status, is_backward ? "attention's gradient" : "attention");
}
