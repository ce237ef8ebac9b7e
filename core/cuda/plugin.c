/* The plugin's entry points: detect a device, open it, measure its matrix products. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/launch.h"
#include "base/mem.h"
#include "cuda/cuda.h"
#include "cuda/kernels.h"

enum { LEAST_CAPABILITY = 80 };
#ifdef CUDA_MEASURED_SIDE /* the imitation's: smaller, because it computes nothing so large */
enum { MEASURED_SIDE_BF16 = CUDA_MEASURED_SIDE, MEASURED_SIDE_FP32 = CUDA_MEASURED_SIDE };
#else
enum { MEASURED_SIDE_BF16 = 8192, MEASURED_SIDE_FP32 = 4096 };
#endif

static err capability_of(int device, int *capability) {
  int major = 0, minor = 0;
  err error = cuda_error(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
                         "querying the GPU");
  if (!error)
    error = cuda_error(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device),
                       "querying the GPU");
  *capability = 10 * major + minor;
  return error;
}

static err probe(void) {
  int count = 0, capability = 0, driver = 0, device = 0;
  cudaError_t code = cudaGetDeviceCount(&count);
  (void)cudaGetLastError();
  (void)cudaDriverGetVersion(&driver);
  if (code == cudaErrorInsufficientDriver && driver == 0)
    return err_new(ERR_UNSUPPORTED, "this machine has no NVIDIA driver");
  if (code == cudaErrorInsufficientDriver)
    return err_new(
        ERR_UNSUPPORTED,
        "the NVIDIA driver supports CUDA %d.%d, this build needs %d.%d: update the driver",
        driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  if (code == cudaErrorNoDevice || (code == cudaSuccess && count == 0))
    return err_new(ERR_UNSUPPORTED,
                   "no NVIDIA GPU is visible (see nvidia-smi; CUDA_VISIBLE_DEVICES is %s)",
                   getenv("CUDA_VISIBLE_DEVICES") ? getenv("CUDA_VISIBLE_DEVICES") : "not set");
  err error = cuda_error(code, "looking for a GPU");
  if (!error) error = launch_device(count, &device);
  if (!error) error = capability_of(device, &capability);
  if (!error && capability < LEAST_CAPABILITY)
    error =
        err_new(ERR_UNSUPPORTED,
                "the GPU has compute capability %d.%d; bf16 tensor cores need 8.0 (A100) or later",
                capability / 10, capability % 10);
  return error;
}

static void name_device(ops *o) {
  struct cudaDeviceProp properties;
  int capability = cuda_of(o)->capability;
  snprintf(o->architecture, sizeof o->architecture, "compute capability %d.%d", capability / 10,
           capability % 10);
  if (cudaGetDeviceProperties(&properties, cuda_of(o)->device) == cudaSuccess)
    snprintf(o->device, sizeof o->device, "%.*s", (int)sizeof o->device - 1, properties.name);
}

static int libraries(ops_library list[OPS_PLUGIN_LIBRARIES]) {
  int driver = 0;
  (void)cudaDriverGetVersion(&driver);
  list[0].name = "gpu";
  size_t dnn = sdpa_library_version(), blas = gemm_library_version();
  snprintf(list[0].version, sizeof list[0].version,
           "CUDA %d.%d, driver for %d.%d, cuBLASLt %zu.%zu.%zu, cuDNN %zu.%zu.%zu",
           CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10, driver / 1000, driver % 1000 / 10,
           blas / 10000, blas % 10000 / 100, blas % 100, dnn / 10000, dnn % 10000 / 100, dnn % 100);
  return 1;
}

/* One file of choices per device and set of libraries. */
static err open_choices(ops *o) {
  char name[sizeof o->device + 64];
  snprintf(name, sizeof name, "choices-%s-%zu-%zu.txt", o->device, gemm_library_version(),
           sdpa_library_version());
  for (char *c = name; *c; c++)
    if (*c == ' ' || *c == '/') *c = '-';
  return choice_store_open(name, cuda_of(o)->request.is_stop_wanted, &cuda_of(o)->choices);
}

/* The device may be communicating, which ends only when other ranks go on; these may need a choice
 * too, and would wait for the claim: so it is not made before. */
err cuda_claim_choice(ops *o, const choice_key *key, bool *is_ours) {
  choice_store *choices = cuda_of(o)->choices;
  *is_ours = !choice_store_is_lasting(choices);
  if (*is_ours) return NULL;
  err error = cuda_error(cudaDeviceSynchronize(), "waiting for the GPU");
  if (!error) *is_ours = choice_store_claim(choices, key);
  return error;
}

void cuda_destroy(ops *o) {
  cuda_state *state = cuda_of(o);
  if (state) {
    if (state->compute) err_free(cuda_synchronize(o)); /* kernels of the plans may still run */
    gemm_plans_destroy(state->gemms);
    sdpa_plans_destroy(state->attentions);
    choice_store_close(state->choices);
    nvml_close(state->meter);
    cuda_runtime_destroy(o);
    free(state);
  }
  free(o);
}

static err create(const ops_request *request, ops **out) {
  ops *o = mem_zeroed(1, sizeof *o);
  cuda_state *state = mem_zeroed(1, sizeof *state);
  if (!o || !state) {
    free(o);
    free(state);
    return mem_error(sizeof *o, "the CUDA backend");
  }
  *o = (ops){.call = &cuda_table,
             .compute = request->compute,
             .master = OPS_F32,
             .is_narrow = request->is_narrow,
             .state = state};
  state->request = *request;
  int visible = 0;
  err error = NULL;
  TRY(cuda_error(cudaGetDeviceCount(&visible), "looking for a GPU"));
  TRY(launch_device(visible, &state->device));
  TRY(capability_of(state->device, &state->capability));
  TRY(cuda_error(cudaDeviceGetAttribute(&state->multiprocessors, cudaDevAttrMultiProcessorCount,
                                        state->device),
                 "querying the GPU"));
  TRY(cuda_error(cudaDeviceGetAttribute(&state->cache_bytes, cudaDevAttrL2CacheSize, state->device),
                 "querying the GPU"));
  if (request->is_narrow && state->capability < KERNEL_FP8_CAPABILITY)
    FAIL(ERR_UNSUPPORTED,
         "precision: fp8 needs a GPU with 8-bit matrix products (compute "
         "capability 8.9, 9.0 or later); this one has %d.%d: use bf16",
         state->capability / 10, state->capability % 10);
  TRY(cuda_runtime_create(o));
  name_device(o);
  TRY(open_choices(o));
  TRY(gemm_plans_create(o, &state->gemms));
  TRY(sdpa_plans_create(o, &state->attentions));
  state->meter = nvml_open(state->device);
cleanup:
  if (error)
    cuda_destroy(o);
  else
    *out = o;
  return error;
}

/* Not zeros, for which a GPU uses less power and runs faster. */
static err fill_operands(ops *o, void *block, int64_t side) {
  int64_t count = 2 * side * side;
  uint16_t *values = mem_aligned((size_t)count * sizeof *values);
  if (!values) return mem_error((size_t)count * sizeof *values, "measuring matrix products");
  uint32_t state = 1;
  for (int64_t i = 0; i < count; i++) {
    state = state * 1664525u + 1013904223u;
    /* a sign, an exponent of -1 to -4, a mantissa: also valid as the upper half of an fp32 */
    values[i] = (uint16_t)((state >> 16 & 0x8000u) | (0x3D80u + (state >> 20 & 0x1FFu)));
  }
  size_t bytes = (size_t)count * ops_size_of(o->compute);
  err error = cuda_upload(o, block, values, (size_t)count * sizeof *values);
  if (!error && bytes > (size_t)count * sizeof *values)
    error = cuda_upload(o, (char *)block + bytes / 2, values, bytes / 2);
  free(values);
  return error;
}

/* 8-bit runs are measured against bf16 products too: their mfu shows the gain from 8 bits. */
static err measure_gemm(const ops_request *request, double *flops_per_second) {
  enum { TRIES = 10 };
  ops_request wide = {.compute = request->compute, .is_stop_wanted = request->is_stop_wanted};
  int64_t side = request->compute == OPS_F32 ? MEASURED_SIDE_FP32 : MEASURED_SIDE_BF16;
  ops *o = NULL;
  void *block = NULL;
  double best = 1e30;
  err error = create(&wide, &o);
  if (error) return error;
  TRY(cuda_allocate(o, (size_t)(3 * side * side) * ops_size_of(wide.compute),
                    "measuring matrix products", &block));
  TRY(fill_operands(o, block, side));
  ops_buffer a = {block, wide.compute};
  ops_gemm g = {.m = side,
                .n = side,
                .k = side,
                .transpose_b = true,
                .a = a,
                .b = ops_at(a, side * side),
                .c = ops_at(a, 2 * side * side)};
  for (int i = 0; i < TRIES; i++) {
    TRY(cuda_synchronize(o));
    double start = clock_seconds();
    TRY(cuda_gemm(o, &g));
    TRY(cuda_synchronize(o));
    double seconds = clock_seconds() - start;
    if (i > 0 && seconds < best) best = seconds; /* the first call chooses the algorithm */
  }
  double n = (double)side;
  *flops_per_second = 2 * n * n * n / best;
cleanup:
  if (block) cuda_release(o, block);
  cuda_destroy(o);
  return error;
}

static bool has_fast_bf16(void) {
  return true;
}

/* The only name that `flip` looks up (ops/device.c). */
__attribute__((visibility("default"))) const ops_plugin flip_ops_plugin = {
    .version = OPS_PLUGIN_VERSION,
    .name = "cuda",
    .limits = {.widest_norm = KERNEL_WIDEST_NORM,
               .widest_head = KERNEL_WIDEST_HEAD,
               .longest_table = KERNEL_LONGEST_TABLE,
               .most_attended = KERNEL_MOST_ATTENDED},
    .has_fast_bf16 = has_fast_bf16,
    .probe = probe,
    .create = create,
    .measure_gemm = measure_gemm,
    .libraries = libraries,
};
