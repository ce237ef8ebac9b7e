/* The runtime's calls that are not about streams: the device, its memory, copies, errors; and how
 * kernels reach their stream. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imitation/imitation.h"
#include "simt/simt.h"

enum { MOST_PINNED = 256 };
static const double kernel_seconds = 5e-6, copy_seconds = 2e-6;

static struct {
  cudaError_t last;
  struct {
    const char *start;
    size_t bytes;
  } pinned[MOST_PINNED];
  int pinned_count;
  int device; /* the current one */
} runtime;

/* Errors. */

cudaError_t runtime_fail(cudaError_t code) {
  if (code) runtime.last = code;
  return code;
}

cudaError_t cudaGetLastError(void) {
  imitation_enter("cudaGetLastError");
  cudaError_t code = stream_context_error(); /* which no call resets */
  if (!code) code = runtime.last;
  runtime.last = cudaSuccess;
  return code;
}

static cudaError_t invalid(const char *call, const char *why) {
  imitation_misuse("%s: %s", call, why);
  return runtime_fail(cudaErrorInvalidValue);
}

const char *cudaGetErrorString(cudaError_t code) {
  static char text[32];
  snprintf(text, sizeof text, "error %d", (int)code);
  return text;
}

/* The device. */

cudaError_t cudaDriverGetVersion(int *version) {
  int major = CUDART_VERSION / 1000, minor = CUDART_VERSION % 1000 / 10;
  imitation_enter("cudaDriverGetVersion");
  imitation_version("FLIP_IMITATION_DRIVER", &major, &minor);
  *version = 1000 * major + 10 * minor;
  return cudaSuccess;
}

/* Drivers serve every runtime of their major version, and older ones. */
cudaError_t cudaGetDeviceCount(int *count) {
  int driver = 0;
  imitation_enter("cudaGetDeviceCount");
  *count = 0;
  (void)cudaDriverGetVersion(&driver);
  if (driver / 1000 < CUDART_VERSION / 1000) return runtime_fail(cudaErrorInsufficientDriver);
  *count = (int)imitation_number("FLIP_IMITATION_DEVICES", 1);
  return *count > 0 ? cudaSuccess : runtime_fail(cudaErrorNoDevice);
}

static bool has_device(int device) {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && device >= 0 && device < count;
}

cudaError_t cudaSetDevice(int device) {
  imitation_enter("cudaSetDevice");
  if (!has_device(device)) return runtime_fail(cudaErrorInvalidDevice);
  runtime.device = device;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device) {
  imitation_enter("cudaGetDevice");
  *device = runtime.device;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device) {
  int major = 9, minor = 0;
  imitation_enter("cudaDeviceGetAttribute");
  imitation_version("FLIP_IMITATION_CAPABILITY", &major, &minor);
  if (!has_device(device)) return runtime_fail(cudaErrorInvalidDevice);
  if (attribute == cudaDevAttrComputeCapabilityMajor)
    *value = major;
  else if (attribute == cudaDevAttrComputeCapabilityMinor)
    *value = minor;
  else if (attribute == cudaDevAttrMultiProcessorCount)
    *value = 132;
  else if (attribute == cudaDevAttrL2CacheSize)
    *value = 1 << 20;
  else
    return invalid("cudaDeviceGetAttribute", "an attribute that is not imitated");
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device) {
  imitation_enter("cudaGetDeviceProperties");
  if (!has_device(device)) return runtime_fail(cudaErrorInvalidDevice);
  memset(properties, 0, sizeof *properties);
  snprintf(properties->name, sizeof properties->name, "an imitation of a GPU");
  properties->major = 9;
  imitation_version("FLIP_IMITATION_CAPABILITY", &properties->major, &properties->minor);
  properties->totalGlobalMem = memory_total();
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int length, int device) {
  imitation_enter("cudaDeviceGetPCIBusId");
  if (!has_device(device)) return runtime_fail(cudaErrorInvalidDevice);
  int needed = snprintf(text, (size_t)length, "0000:%02x:00.0", 1 + device);
  return needed < length ? cudaSuccess
                         : invalid("cudaDeviceGetPCIBusId", "the text is too short for a bus id");
}

/* Memory. */

cudaError_t cudaMalloc(void **block, size_t bytes) {
  bool must_fail = imitation_enter_or_fail("cudaMalloc");
  cudaError_t code = stream_refuse_in_capture("cudaMalloc");
  if (!code) code = runtime_fail(stream_context_error());
  if (code) return code;
  if (!block) return invalid("cudaMalloc", "nowhere to put the address");
  *block = NULL;
  if (bytes == 0) return cudaSuccess;
  *block = must_fail ? NULL : memory_take(bytes);
  return *block ? cudaSuccess : runtime_fail(cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void *block) {
  imitation_enter("cudaFree");
  if (!block) return cudaSuccess;
  cudaError_t code = stream_refuse_in_capture("cudaFree");
  if (code) return code;
  code = stream_run_all();
  if (!memory_give_back(block))
    return invalid("cudaFree", "no block of device memory begins there");
  return runtime_fail(code);
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total) {
  imitation_enter("cudaMemGetInfo");
  *available = memory_free();
  *total = memory_total();
  return runtime_fail(stream_context_error());
}

size_t runtime_pinned(void) {
  return (size_t)runtime.pinned_count;
}

static bool is_pinned(const void *start, size_t bytes) {
  const char *first = start;
  for (int i = 0; i < runtime.pinned_count; i++)
    if (first >= runtime.pinned[i].start &&
        first + bytes <= runtime.pinned[i].start + runtime.pinned[i].bytes)
      return true;
  return false;
}

/* Of memory of which only a part is registered CUDA refuses copies (its reference, cudaMemcpy). */
static bool is_pinned_in_part(const void *start, size_t bytes) {
  const char *first = start;
  for (int i = 0; i < runtime.pinned_count; i++)
    if (first < runtime.pinned[i].start + runtime.pinned[i].bytes &&
        first + bytes > runtime.pinned[i].start)
      return !is_pinned(start, bytes);
  return false;
}

cudaError_t cudaHostRegister(void *start, size_t bytes, unsigned int flags) {
  const char *first = start;
  if (imitation_enter_or_fail("cudaHostRegister")) return runtime_fail(cudaErrorMemoryAllocation);
  cudaError_t code = stream_refuse_in_capture("cudaHostRegister");
  if (!code) code = runtime_fail(stream_context_error());
  if (code) return code;
  if (!start || bytes == 0 || flags != cudaHostRegisterDefault ||
      memory_touches_device(start, bytes))
    return invalid("cudaHostRegister", "no range of host memory, or flags that are not imitated");
  for (int i = 0; i < runtime.pinned_count; i++)
    if (first < runtime.pinned[i].start + runtime.pinned[i].bytes &&
        first + bytes > runtime.pinned[i].start)
      return runtime_fail(cudaErrorHostMemoryAlreadyRegistered);
  if (runtime.pinned_count == MOST_PINNED) return runtime_fail(cudaErrorMemoryAllocation);
  runtime.pinned[runtime.pinned_count].start = first;
  runtime.pinned[runtime.pinned_count++].bytes = bytes;
  return cudaSuccess;
}

cudaError_t cudaHostUnregister(void *start) {
  imitation_enter("cudaHostUnregister");
  for (int i = 0; i < runtime.pinned_count; i++) {
    if (runtime.pinned[i].start != start) continue;
    cudaError_t code = stream_refuse_in_capture("cudaHostUnregister");
    if (code) return code;
    code = stream_run_all(); /* copies may still read it */
    runtime.pinned[i] = runtime.pinned[--runtime.pinned_count];
    return runtime_fail(code);
  }
  return runtime_fail(cudaErrorHostMemoryNotRegistered);
}

/* Copies. */

typedef struct {
  void *to;
  const void *from;
  size_t bytes;
} copy;

static cudaError_t run_copy(const void *data) {
  const copy *c = data;
  memcpy(c->to, c->from, c->bytes);
  return cudaSuccess;
}

/* The contents of pageable memory at the call, stored after the copy itself. */
static cudaError_t run_staged_copy(const void *data) {
  const copy *c = data;
  memcpy(c->to, c + 1, c->bytes);
  return cudaSuccess;
}

static cudaError_t give_staged_copy(const copy *c, cudaStream_t stream) {
  char *data = malloc(sizeof *c + c->bytes);
  if (!data) abort();
  memcpy(data, c, sizeof *c);
  memcpy(data + sizeof *c, c->from, c->bytes);
  cudaError_t code = stream_give(stream, "cudaMemcpyAsync", copy_seconds, run_staged_copy, data,
                                 sizeof *c + c->bytes);
  free(data);
  return code;
}

/* Pageable host memory: read at the call, and written before the call returns; pinned memory: when
 * the stream comes to it ("API synchronization behavior" in the runtime's documentation). */
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const char *const call = "cudaMemcpyAsync";
  const copy c = {to, from, bytes};
  if (imitation_enter_or_fail(call)) return runtime_fail(cudaErrorLaunchFailure);
  bool is_to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice,
       is_from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (!is_to_device && !is_from_device) return invalid(call, "a kind that is not imitated");
  if (bytes == 0) return cudaSuccess;
  if (is_to_device ? !memory_is_device(to, bytes) : memory_touches_device(to, bytes))
    return invalid(call, "the target is not all in a block of the kind of memory that was named");
  if (is_from_device ? !memory_is_device(from, bytes) : memory_touches_device(from, bytes))
    return invalid(call, "the source is not all in a block of the kind of memory that was named");
  const void *host = is_to_device ? from : to;
  if (!(is_to_device && is_from_device) && is_pinned_in_part(host, bytes))
    return invalid(call, "host memory of which only a part is registered");
  bool is_pageable = !(is_to_device && is_from_device) && !is_pinned(host, bytes);
  if (is_pageable && stream_is_capturing(stream))
    return stream_refuse_in_capture("cudaMemcpyAsync with pageable memory");
  if (is_pageable && is_to_device) return give_staged_copy(&c, stream);
  cudaError_t code = stream_give(stream, call, copy_seconds, run_copy, &c, sizeof c);
  if (!code && is_pageable) code = cudaStreamSynchronize(stream);
  return code;
}

typedef struct {
  void *start;
  int value;
  size_t bytes;
} setting;

static cudaError_t run_set(const void *data) {
  const setting *s = data;
  memset(s->start, s->value, s->bytes);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *start, int value, size_t bytes, cudaStream_t stream) {
  const setting s = {start, value, bytes};
  imitation_enter("cudaMemsetAsync");
  if (bytes == 0) return cudaSuccess;
  if (!memory_is_device(start, bytes))
    return invalid("cudaMemsetAsync", "the range is not all in a block of device memory");
  return stream_give(stream, "cudaMemsetAsync", copy_seconds, run_set, &s, sizeof s);
}

/* Kernels. */

typedef struct {
  simt_call call;
  _Alignas(16) char arguments[4096]; /* the most that a launch can carry */
} launch;

static cudaError_t run_launch(const void *data) {
  const launch *l = data;
  if (simt_launch(l->call.kernel, l->call.body, l->arguments, l->call.grid, l->call.threads,
                  l->call.shared_bytes) == 0)
    return cudaSuccess;
  imitation_misuse("%s", simt_message());
  return cudaErrorLaunchFailure;
}

/* As CUDA_LAUNCH does under nvcc: launches, and returns what cudaGetLastError says then, which is
 * also the error that an earlier call left. */
static int launch_on(void *stream, const simt_call *call) {
  launch l = {.call = *call};
  imitation_enter(call->kernel);
  if (call->argument_bytes > sizeof l.arguments || call->grid.x == 0 || call->grid.y == 0 ||
      call->grid.y > 65535 || call->threads == 0 || call->threads > 1024) {
    imitation_misuse("%s: a launch of %u x %u blocks of %u threads", call->kernel, call->grid.x,
                     call->grid.y, call->threads);
    (void)runtime_fail(cudaErrorInvalidConfiguration);
  } else {
    memcpy(l.arguments, call->arguments, call->argument_bytes);
    (void)stream_give(stream, call->kernel, kernel_seconds, run_launch, &l,
                      offsetof(launch, arguments) + call->argument_bytes);
  }
  return (int)cudaGetLastError();
}

__attribute__((constructor)) static void take_launches(void) {
  simt_divert(launch_on);
}
