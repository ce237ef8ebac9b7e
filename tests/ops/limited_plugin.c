/* A backend that does nothing and has small limits (test_device.c). */
#include <stddef.h>

#include "ops/plugin.h"

static err probe(void) {
  return NULL;
}

static void destroy(ops *o) {
  (void)o;
}

static const ops_table table = {.name = "limited", .destroy = destroy};

static err create(const ops_request *request, ops **out) {
  static ops only;
  only = (ops){.call = &table, .compute = request->compute, .master = OPS_F32};
  *out = &only;
  return NULL;
}

static err measure_gemm(const ops_request *request, double *flops_per_second) {
  (void)request;
  *flops_per_second = 1e9;
  return NULL;
}

static bool has_fast_bf16(void) {
  return true;
}

static int libraries(ops_library list[OPS_PLUGIN_LIBRARIES]) {
  list[0] = (ops_library){"limited", "1.2.3"};
  return 1;
}

__attribute__((visibility("default"))) extern const ops_plugin flip_ops_plugin;
const ops_plugin flip_ops_plugin = {
    .version = OPS_PLUGIN_VERSION,
    .name = "cuda",
    .limits = {.widest_norm = 96, .widest_head = 24, .longest_table = 65},
    .has_fast_bf16 = has_fast_bf16,
    .probe = probe,
    .create = create,
    .measure_gemm = measure_gemm,
    .libraries = libraries,
};
