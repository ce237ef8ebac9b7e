/* cuDNN's handle, version and execution; descriptors are those of dnn.h.
 *
 * FLIP_IMITATION_DNN: words, comma between, for what its host code must survive: `refuses` has no
 * engine for anything, `fails` fails in execution, `first_fails` with the first engine only,
 * `slow` takes longer than any kernel of ours. FLIP_IMITATION_CUDNN: its version, 91900. */
#include <stdlib.h>
#include <string.h>

#include "imitation/dnn.h"
#include "imitation/imitation.h"

enum { TENSORS = 32, VERSION = 91900 };

struct cudnnContext {
  cudaStream_t stream;
};

static int handles;

size_t dnn_live_objects(void) {
  return (size_t)handles + dnn_live_descriptors();
}

size_t cudnnGetVersion(void) {
  const char *version = getenv("FLIP_IMITATION_CUDNN");
  return version ? (size_t)atol(version) : VERSION;
}

const char *cudnnGetErrorString(cudnnStatus_t status) {
  return status == CUDNN_STATUS_SUCCESS            ? "CUDNN_STATUS_SUCCESS"
         : status == CUDNN_STATUS_EXECUTION_FAILED ? "CUDNN_STATUS_EXECUTION_FAILED"
         : status / 1000 == 3                      ? "CUDNN_STATUS_NOT_SUPPORTED"
                                                   : "CUDNN_STATUS_BAD_PARAM";
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
  imitation_enter("cudnnCreate");
  *handle = calloc(1, sizeof **handle);
  if (!*handle) abort();
  handles++;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  imitation_enter("cudnnDestroy");
  free(handle);
  handles--;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  imitation_enter("cudnnSetStream");
  if (!stream_exists(stream)) return CUDNN_STATUS_BAD_PARAM;
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

/* A run that waits in a stream: the memory of tensors, and of those by value what was there. */
typedef struct {
  const dnn_descriptor *graph;
  int64_t count, ids[TENSORS];
  void *pointers[TENSORS];
  bool is_value[TENSORS];
  float values[TENSORS];
} execution;

static cudaError_t run(const void *data) {
  execution e = *(const execution *)data;
  if (!dnn_is_alive(e.graph)) {
    imitation_misuse("a plan of cuDNN's was destroyed before its work was done");
    return cudaErrorIllegalAddress;
  }
  for (int64_t i = 0; i < e.count; i++)
    if (e.is_value[i]) e.pointers[i] = &e.values[i];
  memory_open();
  const char *problem = dnn_evaluate(e.graph, e.count, e.ids, e.pointers);
  memory_close();
  if (problem) imitation_misuse("cuDNN: %s", problem);
  return problem ? cudaErrorIllegalAddress : cudaSuccess;
}

/* Takes the pack: values by value, memory as addresses on the device. */
static bool take(const dnn_descriptor *graph, const dnn_descriptor *pack, execution *e) {
  const dnn_attribute *ids = dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const dnn_attribute *pointers = dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  if (ids->count != pointers->count || ids->count > TENSORS) return false;
  *e = (execution){.graph = graph, .count = ids->count};
  for (int64_t i = 0; i < e->count; i++) {
    const dnn_descriptor *tensor = dnn_tensor(graph, ((const int64_t *)ids->values)[i]);
    void *pointer = ((void *const *)pointers->values)[i];
    if (!tensor || !pointer) {
      imitation_misuse("cuDNN: the pack has a tensor that the graph has not, or no address for it");
      return false;
    }
    e->ids[i] = ((const int64_t *)ids->values)[i];
    e->pointers[i] = pointer;
    e->is_value[i] = dnn_find(tensor, CUDNN_ATTR_TENSOR_IS_BY_VALUE) != NULL;
    if (e->is_value[i])
      memcpy(&e->values[i], pointer, sizeof e->values[i]);
    else if (!memory_is_device(pointer, 1))
      imitation_misuse("cuDNN: a tensor does not lie on the device");
  }
  return true;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t pack) {
  imitation_enter("cudnnBackendExecute");
  const dnn_descriptor *p = plan, *v = pack;
  if (!p->is_final || !v->is_final) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
  const dnn_descriptor *configuration = dnn_part(p, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
  const dnn_descriptor *graph = dnn_part(configuration, CUDNN_ATTR_ENGINECFG_ENGINE);
  void *workspace = *(void *const *)dnn_find(v, CUDNN_ATTR_VARIANT_PACK_WORKSPACE)->values;
  bool is_first = dnn_integer(configuration, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 0) == 0;
  execution e;
  if (imitation_has_word("FLIP_IMITATION_DNN", "fails") ||
      (is_first && imitation_has_word("FLIP_IMITATION_DNN", "first_fails")))
    return CUDNN_STATUS_EXECUTION_FAILED;
  if (!memory_is_device(workspace, DNN_WORKSPACE_BYTES)) {
    imitation_misuse("cuDNN: the workspace is no device memory, or too small");
    return CUDNN_STATUS_BAD_PARAM;
  }
  if (!take(graph, v, &e)) return CUDNN_STATUS_BAD_PARAM;
  double cost = imitation_has_word("FLIP_IMITATION_DNN", "slow") ? 1 : is_first ? 2e-9 : 1e-9;
  return stream_give(handle->stream, "cuDNN", cost, run, &e, sizeof e) == cudaSuccess
             ? CUDNN_STATUS_SUCCESS
             : CUDNN_STATUS_EXECUTION_FAILED;
}
