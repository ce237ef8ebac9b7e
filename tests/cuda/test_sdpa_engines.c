/* Asks cuDNN, for GPUs that are not present, whether it has engines for our descriptions of
 * attention. The library answers from a device's properties (its "deviceless ahead-of-time
 * compilation", since 9.8); it loads a libcuda.so.1: the toolkit's, for linking. */
#include "support/test.h"

#include <stdlib.h>

#include "cuda/sdpa_graph.h"

enum { SKIPPED = 77 /* as in CMakeLists.txt */ };

/* What decides about kernels: architecture, multiprocessors, registers, shared memory. */
#define PROPERTIES(name, version, multiprocessors, shared, l2)                                     \
  "{\"deviceVer\":" #version ",\"driverVer\":13000,\"cudaDeviceId\":0,"                            \
  "\"totalGlobalMem\":85028765696,\"maxGridSize\":[2147483647,65535,65535],"                       \
  "\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,"                                        \
  "\"multiProcessorCount\":" #multiprocessors                                                      \
  ",\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,"                                            \
  "\"maxSharedMemoryPerBlockOptin\":" #shared ",\"reservedSharedMemoryPerBlock\":1024,"            \
  "\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,"                   \
  "\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,\"isTccDriver\":0,\"supportCoopLaunch\":1,"          \
  "\"smClockRateKHz\":1980000,\"memClockRateKHz\":2619000,\"memoryBusWidth\":5120,"                \
  "\"l2CacheSize\":" #l2 ",\"deviceName\":\"" name "\"}"
static const struct {
  const char *name, *properties;
} devices[] = {{"H100", PROPERTIES("NVIDIA H100 80GB HBM3", 900, 132, 232448, 52428800)},
               {"A100", PROPERTIES("NVIDIA A100-SXM4-80GB", 800, 108, 166912, 41943040)}};

/* Lengths from a quarter of a small image to 512 pixels with patches of 16; widths of heads from
 * our smallest model's to the widest used with cuDNN. */
static const struct {
  int64_t tokens, head_width;
} shapes[] = {{5, 64},    {17, 64}, {32, 64}, {50, 64},  {77, 64},  {99, 64},  {197, 64}, {257, 80},
              {1025, 64}, {50, 32}, {65, 40}, {197, 88}, {197, 96}, {99, 104}, {197, 128}};

/* NULL where the library wants to know other properties. */
static cudnnBackendDescriptor_t make_properties(const char *json) {
  cudnnBackendDescriptor_t d = NULL;
  if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &d)) return NULL;
  if (cudnnBackendSetAttribute(d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                               (int64_t)strlen(json), json) == CUDNN_STATUS_SUCCESS &&
      cudnnBackendFinalize(d) == CUDNN_STATUS_SUCCESS)
    return d;
  (void)cudnnBackendDestroyDescriptor(d);
  return NULL;
}

/* How many engines the library has. */
static int ask(const sdpa_shape *shape, sdpa_form form, const sdpa_target *target) {
  enum { LIMIT = 2 };
  cudnnBackendDescriptor_t found[LIMIT];
  sdpa_graph g;
  int count = 0;
  if (sdpa_graph_make(shape, form, target, &g) == CUDNN_STATUS_SUCCESS)
    (void)sdpa_engines_find(&g, target, shape->is_deterministic, LIMIT, found, &count);
  for (int i = 0; i < count; i++) assert_int_equal(cudnnBackendDestroyDescriptor(found[i]), 0);
  sdpa_graph_free(&g);
  return count;
}

static void ask_about_every_shape(sdpa_form form, bool is_backward, bool is_causal,
                                  bool is_deterministic) {
  for (size_t d = 0; d < sizeof devices / sizeof *devices; d++) {
    const sdpa_target target = {.properties = make_properties(devices[d].properties)};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
      const sdpa_shape shape = {.batch = 256,
                                .tokens = shapes[i].tokens,
                                .heads = 12,
                                .head_width = shapes[i].head_width,
                                .is_backward = is_backward,
                                .is_causal = is_causal,
                                .is_deterministic = is_deterministic};
      if (ask(&shape, form, &target) == 0)
        fail_msg("%s: no engine for %ld tokens, heads of %ld", devices[d].name, (long)shape.tokens,
                 (long)shape.head_width);
    }
    assert_int_equal(cudnnBackendDestroyDescriptor(target.properties), 0);
  }
}

static void attention_written_out_has_engines(void **state) {
  (void)state;
  ask_about_every_shape(SDPA_WRITTEN_OUT, false, false, false);
}

static void causal_attention_has_engines(void **state) {
  (void)state;
  ask_about_every_shape(SDPA_WRITTEN_OUT, false, true, false);
}

static void attention_as_one_operation_has_engines(void **state) {
  (void)state;
  ask_about_every_shape(SDPA_SINGLE, false, false, false);
}

static void the_gradient_has_engines(void **state) {
  (void)state;
  ask_about_every_shape(SDPA_WRITTEN_OUT, true, false, false);
}

static void the_gradient_of_causal_attention_has_engines(void **state) {
  (void)state;
  ask_about_every_shape(SDPA_WRITTEN_OUT, true, true, false);
}

static void the_gradient_in_a_fixed_order_has_engines(void **state) {
  (void)state;
  ask_about_every_shape(SDPA_WRITTEN_OUT, true, false, true);
}

/* That the library can say no: what it has no engine for is not counted as one. */
static void unsupported_shapes_have_no_engines(void **state) {
  (void)state;
  const sdpa_target target = {.properties = make_properties(devices[1].properties)};
  const sdpa_shape shape = {.batch = 2, .tokens = 50, .heads = 3, .head_width = 12};
  assert_int_equal(ask(&shape, SDPA_WRITTEN_OUT, &target), 0);
  assert_int_equal(cudnnBackendDestroyDescriptor(target.properties), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(attention_written_out_has_engines),
      cmocka_unit_test(causal_attention_has_engines),
      cmocka_unit_test(attention_as_one_operation_has_engines),
      cmocka_unit_test(the_gradient_has_engines),
      cmocka_unit_test(the_gradient_of_causal_attention_has_engines),
      cmocka_unit_test(the_gradient_in_a_fixed_order_has_engines),
      cmocka_unit_test(unsupported_shapes_have_no_engines),
  };
  cudnnBackendDescriptor_t tried = make_properties(devices[0].properties);
  if (!tried) {
    print_message("cuDNN %zu takes no properties of a GPU, or others\n", cudnnGetVersion());
    return SKIPPED;
  }
  (void)cudnnBackendDestroyDescriptor(tried);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
