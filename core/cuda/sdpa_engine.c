/* The engines of a graph of attention (sdpa_graph.h). */
#include "cuda/sdpa_graph.h"

static cudnnStatus_t set_target(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t properties,
                                const sdpa_target *target) {
  return target->handle ? CUDNN_STATUS_SUCCESS
                        : cudnnBackendSetAttribute(d, properties, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                                   &target->properties);
}

static cudnnStatus_t make_heuristic(const sdpa_graph *g, const sdpa_target *target,
                                    cudnnBackendDescriptor_t *heuristic) {
  const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
  cudnnStatus_t status =
      cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, heuristic);
  if (!status)
    status = cudnnBackendSetAttribute(*heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
                                      CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &g->graph);
  if (!status)
    status = cudnnBackendSetAttribute(*heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE,
                                      1, &mode);
  if (!status) status = set_target(*heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, target);
  return status ? status : cudnnBackendFinalize(*heuristic);
}

/* True if the engine declares that its results are not bit-reproducible. */
static bool is_varying(cudnnBackendDescriptor_t configuration) {
  cudnnBackendDescriptor_t engine = NULL;
  cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
  int64_t count = 0;
  bool is_found = false;
  if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine)) return true;
  if (cudnnBackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_ENGINE,
                               CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &engine) ||
      cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                               CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes)) {
    is_found = true;
    count = 0;
  }
  for (int64_t i = 0; i < count; i++) is_found |= notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
  (void)cudnnBackendDestroyDescriptor(engine);
  return is_found;
}

cudnnStatus_t sdpa_engines_find(const sdpa_graph *g, const sdpa_target *target,
                                bool is_deterministic, int limit, cudnnBackendDescriptor_t *found,
                                int *count) {
  cudnnBackendDescriptor_t heuristic = NULL;
  int64_t made = 0, returned = 0;
  cudnnStatus_t status = make_heuristic(g, target, &heuristic);
  for (; !status && made < limit; made++) {
    found[made] = NULL;
    status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &found[made]);
  }
  if (!status)
    status = cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                      CUDNN_TYPE_BACKEND_DESCRIPTOR, limit, &returned, found);
  if (status) returned = 0;
  *count = 0;
  for (int64_t i = 0; i < made; i++) {
    if (i < returned && !(is_deterministic && is_varying(found[i])))
      found[(*count)++] = found[i];
    else if (found[i])
      (void)cudnnBackendDestroyDescriptor(found[i]);
  }
  if (heuristic) (void)cudnnBackendDestroyDescriptor(heuristic);
  return status;
}

cudnnStatus_t sdpa_engine_plan(cudnnBackendDescriptor_t configuration, const sdpa_target *target,
                               cudnnBackendDescriptor_t *plan, int64_t *workspace_bytes) {
  int64_t count = 0;
  *plan = NULL;
  cudnnStatus_t status =
      cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, plan);
  if (!status && target->handle)
    status = cudnnBackendSetAttribute(*plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1,
                                      &target->handle);
  if (!status) status = set_target(*plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, target);
  if (!status)
    status = cudnnBackendSetAttribute(*plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                                      CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &configuration);
  if (!status) status = cudnnBackendFinalize(*plan);
  if (!status)
    status = cudnnBackendGetAttribute(*plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                      CUDNN_TYPE_INT64, 1, &count, workspace_bytes);
  if (status && *plan) {
    (void)cudnnBackendDestroyDescriptor(*plan);
    *plan = NULL;
  }
  return status;
}
