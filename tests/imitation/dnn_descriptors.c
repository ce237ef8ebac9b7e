/* cuDNN's descriptors: created, given attributes, finalised, queried. Which attributes a descriptor
 * needs is up to the library (tests/cuda/test_sdpa_engines.c); dnn_evaluate.c assumes that those it
 * reads are set. */
#include <stdlib.h>
#include <string.h>

#include "imitation/dnn.h"

static dnn_descriptor *all;

static size_t size_of(cudnnBackendAttributeType_t type) {
  switch ((int)type) {
  case CUDNN_TYPE_INT64:
    return sizeof(int64_t);
  case CUDNN_TYPE_BOOLEAN:
    return sizeof(bool);
  case CUDNN_TYPE_HANDLE:
  case CUDNN_TYPE_VOID_PTR:
  case CUDNN_TYPE_BACKEND_DESCRIPTOR:
    return sizeof(void *);
  default:
    return sizeof(int); /* enumerations */
  }
}

/* What the documentation of each attribute asks for; operations' are descriptors. */
static cudnnBackendAttributeType_t type_of(cudnnBackendAttributeName_t name) {
  switch ((int)name) {
  case CUDNN_ATTR_TENSOR_DATA_TYPE:
  case CUDNN_ATTR_POINTWISE_MATH_PREC:
  case CUDNN_ATTR_REDUCTION_COMP_TYPE:
  case CUDNN_ATTR_MATMUL_COMP_TYPE:
    return CUDNN_TYPE_DATA_TYPE;
  case CUDNN_ATTR_TENSOR_DIMENSIONS:
  case CUDNN_ATTR_TENSOR_STRIDES:
  case CUDNN_ATTR_TENSOR_UNIQUE_ID:
  case CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT:
  case CUDNN_ATTR_POINTWISE_AXIS:
  case CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS:
    return CUDNN_TYPE_INT64;
  case CUDNN_ATTR_TENSOR_IS_VIRTUAL:
  case CUDNN_ATTR_TENSOR_IS_BY_VALUE:
    return CUDNN_TYPE_BOOLEAN;
  case CUDNN_ATTR_POINTWISE_MODE:
    return CUDNN_TYPE_POINTWISE_MODE;
  case CUDNN_ATTR_REDUCTION_OPERATOR:
    return CUDNN_TYPE_REDUCTION_OPERATOR_TYPE;
  case CUDNN_ATTR_ENGINEHEUR_MODE:
    return CUDNN_TYPE_HEUR_MODE;
  case CUDNN_ATTR_OPERATIONGRAPH_HANDLE:
  case CUDNN_ATTR_EXECUTION_PLAN_HANDLE:
    return CUDNN_TYPE_HANDLE;
  case CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS:
  case CUDNN_ATTR_VARIANT_PACK_WORKSPACE:
    return CUDNN_TYPE_VOID_PTR;
  default:
    return CUDNN_TYPE_BACKEND_DESCRIPTOR;
  }
}

static bool is_list(cudnnBackendAttributeName_t name) {
  return name == CUDNN_ATTR_TENSOR_DIMENSIONS || name == CUDNN_ATTR_TENSOR_STRIDES ||
         name == CUDNN_ATTR_OPERATIONGRAPH_OPS || name == CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS ||
         name == CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS;
}

const dnn_attribute *dnn_find(const dnn_descriptor *d, cudnnBackendAttributeName_t name) {
  for (int i = 0; i < d->count; i++)
    if (d->attributes[i].name == name) return &d->attributes[i];
  return NULL;
}

const dnn_descriptor *dnn_part(const dnn_descriptor *d, cudnnBackendAttributeName_t name) {
  const dnn_attribute *a = dnn_find(d, name);
  return a ? ((dnn_descriptor *const *)a->values)[0] : NULL;
}

int64_t dnn_integer(const dnn_descriptor *d, cudnnBackendAttributeName_t name, int64_t otherwise) {
  const dnn_attribute *a = dnn_find(d, name);
  return a ? *(const int64_t *)a->values : otherwise;
}

bool dnn_is_alive(const dnn_descriptor *d) {
  for (const dnn_descriptor *other = all; other; other = other->next)
    if (other == d) return true;
  return false;
}

size_t dnn_live_descriptors(void) {
  size_t count = 0;
  for (const dnn_descriptor *d = all; d; d = d->next) count++;
  return count;
}

const dnn_descriptor *dnn_tensor(const dnn_descriptor *graph, int64_t id) {
  const dnn_attribute *operations = dnn_find(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
  for (int64_t i = 0; i < operations->count; i++) {
    const dnn_descriptor *operation = ((dnn_descriptor *const *)operations->values)[i];
    for (int part = 0; part < operation->count; part++) {
      const dnn_descriptor *d = ((dnn_descriptor *const *)operation->attributes[part].values)[0];
      if (d->type == CUDNN_BACKEND_TENSOR_DESCRIPTOR &&
          dnn_integer(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, -1) == id)
        return d;
    }
  }
  return NULL;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *descriptor) {
  dnn_descriptor *d = calloc(1, sizeof *d);
  if (!d) abort();
  d->type = type;
  d->next = all;
  all = d;
  *descriptor = d;
  return CUDNN_STATUS_SUCCESS;
}

static void let_go(const dnn_attribute *a) {
  for (int64_t i = 0; a->type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < a->count; i++)
    ((dnn_descriptor *const *)a->values)[i]->users--;
  free(a->values);
}

/* Stricter than documented: a descriptor that others are made of must outlive them. */
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  dnn_descriptor *d = descriptor;
  if (d->users) return CUDNN_STATUS_BAD_PARAM;
  for (int i = 0; i < d->count; i++) let_go(&d->attributes[i]);
  dnn_descriptor **link = &all;
  while (*link != d) link = &(*link)->next;
  *link = d->next;
  free(d);
  return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t add(dnn_descriptor *d, cudnnBackendAttributeName_t name,
                         cudnnBackendAttributeType_t type, int64_t count, const void *values) {
  if (d->count == DNN_ATTRIBUTES) abort();
  dnn_attribute *a = &d->attributes[d->count];
  *a = (dnn_attribute){name, type, count, malloc((size_t)count * size_of(type))};
  if (!a->values) abort();
  memcpy(a->values, values, (size_t)count * size_of(type));
  for (int64_t i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < count; i++) {
    dnn_descriptor *part = ((dnn_descriptor *const *)values)[i];
    if (!part || !part->is_final) {
      free(a->values);
      return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
    }
  }
  for (int64_t i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < count; i++)
    ((dnn_descriptor *const *)values)[i]->users++;
  d->count++;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void *values) {
  dnn_descriptor *d = descriptor;
  if (!d || !values) return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
  if (d->is_final || dnn_find(d, name) || count < 1) return CUDNN_STATUS_BAD_PARAM;
  if (type != type_of(name) || (count > 1 && !is_list(name))) return CUDNN_STATUS_BAD_PARAM;
  return add(d, name, type, count, values);
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  dnn_descriptor *d = descriptor;
  const char *words = getenv("FLIP_IMITATION_DNN");
  if (d->is_final) return CUDNN_STATUS_BAD_PARAM;
  if (d->type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR && words && strstr(words, "refuses"))
    return CUDNN_STATUS_NOT_SUPPORTED;
  d->is_final = true;
  return CUDNN_STATUS_SUCCESS;
}

/* Configurations hold the graph that they are for; every graph has two engines. */
static cudnnStatus_t answer_engines(const dnn_descriptor *heuristic, int64_t wanted, int64_t *count,
                                    dnn_descriptor **found) {
  const dnn_attribute *graph = dnn_find(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
  *count = wanted < DNN_ENGINES ? wanted : DNN_ENGINES;
  for (int64_t i = 0; i < *count; i++) {
    if (found[i]->type != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR || found[i]->is_final)
      return CUDNN_STATUS_BAD_PARAM;
    cudnnStatus_t status =
        add(found[i], CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, graph->values);
    if (!status) status = add(found[i], CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &i);
    if (status) return status;
    found[i]->is_final = true;
  }
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t wanted,
                                       int64_t *count, void *values) {
  const dnn_descriptor *d = descriptor;
  if (!d->is_final) return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
  if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS && type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
    return answer_engines(d, wanted, count, values);
  *count = 0;
  if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && type == CUDNN_TYPE_INT64) {
    *(int64_t *)values = DNN_WORKSPACE_BYTES;
    *count = 1;
    return CUDNN_STATUS_SUCCESS;
  }
  /* an engine without remarks on its numbers */
  if (name == CUDNN_ATTR_ENGINECFG_ENGINE) {
    (*(dnn_descriptor **)values)->is_final = true;
    return CUDNN_STATUS_SUCCESS;
  }
  if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE) return CUDNN_STATUS_SUCCESS;
  return CUDNN_STATUS_NOT_SUPPORTED;
}
