/* cuDNN, of which only its door is imitated: every graph of operations is refused, so that
 * attention is our own kernels'. */
#include <cudnn.h>
#include <stdlib.h>

#include "imitation/imitation.h"

struct cudnnContext {
  cudaStream_t stream;
};

size_t cudnnGetVersion(void) {
  return CUDNN_VERSION;
}

const char *cudnnGetErrorString(cudnnStatus_t status) {
  return status == CUDNN_STATUS_SUCCESS ? "CUDNN_STATUS_SUCCESS" : "CUDNN_STATUS_NOT_SUPPORTED";
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
  imitation_enter("cudnnCreate");
  *handle = calloc(1, sizeof **handle);
  return *handle ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_INITIALIZED;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  imitation_enter("cudnnDestroy");
  free(handle);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  imitation_enter("cudnnSetStream");
  if (!stream_exists(stream)) {
    imitation_misuse("cudnnSetStream: no stream");
    return CUDNN_STATUS_BAD_PARAM;
  }
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *descriptor) {
  cudnnBackendDescriptorType_t *made = malloc(sizeof *made);
  imitation_enter("cudnnBackendCreateDescriptor");
  if (!made) return CUDNN_STATUS_NOT_INITIALIZED;
  *made = type;
  *descriptor = made;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  imitation_enter("cudnnBackendDestroyDescriptor");
  free(descriptor);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void *values) {
  (void)descriptor;
  (void)name;
  (void)type;
  (void)count;
  (void)values;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t wanted,
                                       int64_t *count, void *values) {
  (void)descriptor;
  (void)name;
  (void)type;
  (void)wanted;
  (void)count;
  (void)values;
  return CUDNN_STATUS_NOT_SUPPORTED;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  const cudnnBackendDescriptorType_t *type = descriptor;
  imitation_enter("cudnnBackendFinalize");
  return *type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR ? CUDNN_STATUS_NOT_SUPPORTED
                                                          : CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t pack) {
  (void)handle;
  (void)plan;
  (void)pack;
  imitation_misuse("cudnnBackendExecute of a plan, of which there can be none");
  return CUDNN_STATUS_NOT_SUPPORTED;
}
