/* Attention by cuDNN: plans of the shapes seen, and their execution.
 *
 * For every form in which a shape can be described (sdpa_graph.h) the library's first choices of
 * engines are candidates; attention.c times them. A candidate's plan, which takes the library a
 * second, is built when it is first run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cuda/cuda.h"
#include "cuda/sdpa_graph.h"

enum {
  SDPA_ENGINES = 2, /* of each form */
  SDPA_CANDIDATES = SDPA_FORMS * SDPA_ENGINES,
  SDPA_WIDEST_HEAD = 128
};
static const int64_t most_workspace_bytes = (int64_t)4 << 30;

typedef struct {
  cudnnBackendDescriptor_t configuration, plan; /* plan: NULL until it is first run */
  int64_t workspace_bytes;
  const sdpa_graph *graph;
} candidate;

typedef struct {
  sdpa_shape shape;
  sdpa_graph graphs[SDPA_FORMS];
  candidate candidates[SDPA_CANDIDATES];
  int count;
} sdpa_plan;

struct sdpa_plans {
  cudnnHandle_t library;
  sdpa_plan **items; /* one per shape: every size of a batch has its own */
  size_t count, capacity;
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
  return error ? error : sdpa_use_stream(plans, cuda_of(o)->compute);
}

err sdpa_use_stream(sdpa_plans *plans, cudaStream_t stream) {
  return dnn_error(cudnnSetStream(plans->library, stream), "taking a stream");
}

static void free_plan(sdpa_plan *p) {
  for (int i = 0; i < p->count; i++) {
    if (p->candidates[i].plan) (void)cudnnBackendDestroyDescriptor(p->candidates[i].plan);
    (void)cudnnBackendDestroyDescriptor(p->candidates[i].configuration);
  }
  for (int form = 0; form < SDPA_FORMS; form++) sdpa_graph_free(&p->graphs[form]);
  free(p);
}

void sdpa_plans_destroy(sdpa_plans *plans) {
  if (!plans) return;
  for (size_t i = 0; i < plans->count; i++) free_plan(plans->items[i]);
  free((void *)plans->items);
  if (plans->library) (void)cudnnDestroy(plans->library);
  free(plans);
}

/* A shape that the library does not support has no candidates; that is not an error. */
static void list_candidates(const sdpa_target *target, sdpa_plan *p) {
  for (int form = 0; form < SDPA_FORMS; form++) {
    cudnnBackendDescriptor_t found[SDPA_ENGINES];
    int count = 0;
    sdpa_graph *graph = &p->graphs[form];
    if (sdpa_graph_make(&p->shape, (sdpa_form)form, target, graph) == CUDNN_STATUS_SUCCESS)
      (void)sdpa_engines_find(graph, target, p->shape.is_deterministic, SDPA_ENGINES, found,
                              &count);
    for (int i = 0; i < count; i++)
      p->candidates[p->count++] = (candidate){.configuration = found[i], .graph = graph};
  }
}

static sdpa_shape shape_of(ops *o, const ops_attention *a, bool is_backward) {
  return (sdpa_shape){.batch = a->batch,
                      .tokens = a->tokens,
                      .heads = a->heads,
                      .head_width = a->head_width,
                      .is_backward = is_backward,
                      .is_causal = a->is_causal,
                      .is_deterministic = cuda_of(o)->request.is_deterministic};
}

static sdpa_plan *find(const sdpa_plans *plans, const sdpa_shape *s) {
  for (size_t i = 0; i < plans->count; i++) {
    const sdpa_shape *other = &plans->items[i]->shape;
    if (other->batch == s->batch && other->tokens == s->tokens && other->heads == s->heads &&
        other->head_width == s->head_width && other->is_backward == s->is_backward &&
        other->is_causal == s->is_causal)
      return plans->items[i];
  }
  return NULL;
}

/* The alignment that the graphs assume of their tensors, and the widths requested of their
 * engines. */
static bool is_describable(const ops_attention *a) {
  return a->qkv.type == OPS_BF16 && !a->key_counts.data && a->head_width % 8 == 0 &&
         a->head_width <= SDPA_WIDEST_HEAD && cuda_is_at_16(a->qkv.data) &&
         cuda_is_at_16(a->out.data) && cuda_is_at_16(a->lse.data) && cuda_is_at_16(a->dout.data) &&
         cuda_is_at_16(a->dqkv.data);
}

/* Whether this cuDNN computes such an attention rightly, as far as its release notes, its front end
 * and PyTorch say. Ours is used instead. */
static bool is_reliable(const ops_attention *a, bool is_backward) {
  enum { LEAST_FOR_GRADIENTS = 91800, HALF_TILE = 64, TILE = 128 };
  const size_t version = sdpa_library_version();
  if (a->tokens < 2) return false;                               /* not supported backward */
  if (!is_backward) return version != 91000 && version != 91001; /* wrong results */
  /* up to 9.15.0 gradients in a replayed recording access memory that is not theirs, and until 9.18
   * their workspace is used before it is set; with half a tile of tokens left over, rows whose
   * scores are all far below zero give NaN, in 9.19 too */
  return version >= LEAST_FOR_GRADIENTS && a->tokens % TILE != HALF_TILE;
}

static bool has_room(sdpa_plans *plans) {
  if (plans->count < plans->capacity) return true;
  size_t capacity = plans->capacity ? 2 * plans->capacity : 64;
  sdpa_plan **larger = mem_resize(plans->items, capacity, sizeof(sdpa_plan *));
  if (!larger) return false;
  plans->items = larger;
  plans->capacity = capacity;
  return true;
}

int sdpa_candidates(ops *o, const ops_attention *a, bool is_backward) {
  cuda_state *state = cuda_of(o);
  sdpa_plans *plans = state->attentions;
  if (!is_describable(a) || !is_reliable(a, is_backward)) return 0;
  const sdpa_target target = {.handle = plans->library};
  sdpa_shape shape = shape_of(o, a, is_backward);
  sdpa_plan *p = find(plans, &shape);
  if (p) return p->count;
  if (state->is_recording || !has_room(plans)) return 0;
  p = mem_zeroed(1, sizeof *p);
  if (!p) return 0;
  p->shape = shape;
  list_candidates(&target, p);
  plans->items[plans->count++] = p;
  return p->count;
}

static err execute(ops *o, const candidate *c, void *const addresses[SDPA_TENSORS],
                   void *workspace) {
  cudnnHandle_t library = cuda_of(o)->attentions->library;
  cudnnBackendDescriptor_t pack = NULL;
  int64_t ids[SDPA_TENSORS], count = 0;
  void *given[SDPA_TENSORS];
  for (int64_t id = 0; id < SDPA_TENSORS; id++) {
    if (!c->graph->has[id]) continue;
    ids[count] = id;
    given[count++] = addresses[id];
  }
  cudnnStatus_t status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);
  if (!status)
    status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64,
                                      count, ids);
  if (!status)
    status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
                                      CUDNN_TYPE_VOID_PTR, count, given);
  if (!status)
    status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR,
                                      1, &workspace);
  if (!status) status = cudnnBackendFinalize(pack);
  if (!status) status = cudnnBackendExecute(library, c->plan, pack);
  if (pack) (void)cudnnBackendDestroyDescriptor(pack);
  return dnn_error(status, "attention");
}

static err make_runnable(ops *o, candidate *c) {
  cuda_state *state = cuda_of(o);
  const sdpa_target target = {.handle = state->attentions->library};
  if (c->plan) return NULL;
  if (state->is_recording)
    return err_new(ERR_INTERNAL,
                   "the captured step needs an attention plan that no warm-up step built");
  err error = dnn_error(sdpa_engine_plan(c->configuration, &target, &c->plan, &c->workspace_bytes),
                        "attention");
  if (!error && c->workspace_bytes > most_workspace_bytes)
    error = err_new(ERR_MEMORY, "cuDNN's attention needs %lld bytes of scratch memory",
                    (long long)c->workspace_bytes);
  return error;
}

err sdpa_run(ops *o, const ops_attention *a, bool is_backward, int which) {
  const sdpa_shape shape = shape_of(o, a, is_backward);
  candidate *c = &find(cuda_of(o)->attentions, &shape)->candidates[which];
  err error = make_runnable(o, c);
  if (error) return error;
  int64_t width = a->heads * a->head_width;
  size_t numbers = (size_t)(a->batch * a->heads * a->tokens) * sizeof(float);
  size_t workspace = cuda_rounded((size_t)c->workspace_bytes),
         out_sums = c->graph->has[SDPA_OUT_SUMS] ? cuda_rounded(numbers) : 0,
         dq_sums = c->graph->has[SDPA_DQ_SUMS] ? cuda_rounded(numbers * (size_t)a->head_width) : 0;
  float scale = (float)(1 / sqrt((double)a->head_width)), masked = -INFINITY, one = 1;
  char *scratch;
  error = cuda_scratch(o, workspace + out_sums + dq_sums, (void **)&scratch);
  if (error) return error;
  void *const addresses[SDPA_TENSORS] = {[SDPA_Q] = a->qkv.data,
                                         [SDPA_K] = ops_at(a->qkv, width).data,
                                         [SDPA_V] = ops_at(a->qkv, 2 * width).data,
                                         [SDPA_OUT] = a->out.data,
                                         [SDPA_STATS] = a->lse.data,
                                         [SDPA_SCALE] = &scale,
                                         [SDPA_MASKED] = &masked,
                                         [SDPA_ONE] = &one,
                                         [SDPA_DOUT] = a->dout.data,
                                         [SDPA_DQ] = a->dqkv.data,
                                         [SDPA_DK] = ops_at(a->dqkv, width).data,
                                         [SDPA_DV] = ops_at(a->dqkv, 2 * width).data,
                                         [SDPA_OUT_SUMS] = scratch + workspace,
                                         [SDPA_DQ_SUMS] = scratch + workspace + out_sums};
  return execute(o, c, addresses, scratch);
}
