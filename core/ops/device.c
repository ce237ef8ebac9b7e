#include "ops/device.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "base/shipped.h"
#include "cpu/plugin.h"

static const double bf16_must_win_by = 1.1;

void ops_destroy(ops *o) {
  if (o) o->call->destroy(o);
}

/* dlopen counts references, so opening again is cheap and no handle has to be kept. The plugin
 * stays loaded until the process ends: CUDA's libraries do not support being unloaded. */
static err load_plugin(const ops_plugin **out) {
  char path[PATH_MAX];
  if (!shipped_plugin("libflip_cuda.so", path))
    return err_new(ERR_UNSUPPORTED,
                   "this build has no CUDA backend (%s is missing): build it with 'cmake --preset "
                   "cuda && cmake --build build/cuda', or use device: cpu (docs/gpu.md)",
                   path);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return err_new(ERR_UNSUPPORTED, "the CUDA backend needs a library that this machine lacks: %s",
                   dlerror());
  const ops_plugin *plugin = dlsym(library, OPS_PLUGIN_SYMBOL);
  if (!plugin || plugin->version != OPS_PLUGIN_VERSION)
    return err_new(ERR_UNSUPPORTED, "%s was built from another version of flip: rebuild both",
                   path);
  err error = plugin->probe();
  if (error) return err_context(error, "CUDA");
  *out = plugin;
  return NULL;
}

/* The only place that knows which backends exist. */
static err choose(const settings *s, const ops_plugin **plugin, char *note, size_t note_size) {
  *plugin = &cpu_plugin;
  if (s->device == DEVICE_CPU) return cpu_plugin.probe();
  err error = load_plugin(plugin);
  if (!error || s->device == DEVICE_CUDA) return err_context(error, "device: cuda");
  /* A machine without any sign of a GPU needs no explanation. */
  if (note && access("/dev/nvidiactl", F_OK) == 0)
    snprintf(note, note_size, "device: auto uses the CPU: %s", err_message(error));
  err_free(error);
  return cpu_plugin.probe();
}

static bool is_stop_wanted(void) {
  return interrupt_is_requested();
}

static ops_request request_of(const settings *s, int precision) {
  return (ops_request){.compute = precision == PRECISION_FP32 ? OPS_F32 : OPS_BF16,
                       .is_narrow = precision == PRECISION_FP8,
                       .is_deterministic = s->deterministic,
                       .threads = (int)s->threads,
                       .is_stop_wanted = is_stop_wanted};
}

static err measure(const ops_plugin *plugin, const settings *s, int precision, double *rate) {
  ops_request request = request_of(s, precision);
  return plugin->measure_gemm(&request, rate);
}

/* The rate for a given precision. A processor without bf16 computes such products in fp32. */
static err measure_known(const ops_plugin *plugin, const settings *s, ops_opened *out) {
  err error = measure(plugin, s, out->precision, &out->gemm_flops_per_second);
  if (!error || plugin->has_fast_bf16() || err_kind_of(error) != ERR_UNSUPPORTED) return error;
  err_free(error);
  return measure(plugin, s, PRECISION_FP32, &out->gemm_flops_per_second);
}

static err choose_precision(const ops_plugin *plugin, const settings *s, ops_opened *out) {
  double fp32 = 0, bf16 = 0;
  out->precision = s->precision;
  if (s->precision == PRECISION_AUTO && plugin->has_fast_bf16()) out->precision = PRECISION_BF16;
  if (out->precision != PRECISION_AUTO) return measure_known(plugin, s, out);
  err error = measure(plugin, s, PRECISION_FP32, &fp32);
  if (error) return error;
  err_free(measure(plugin, s, PRECISION_BF16, &bf16)); /* a processor without bf16 */
  bool is_bf16 = bf16 > fp32 * bf16_must_win_by;
  out->precision = is_bf16 ? PRECISION_BF16 : PRECISION_FP32;
  out->gemm_flops_per_second = is_bf16 ? bf16 : fp32;
  return NULL;
}

/* Settings that are valid but that this backend cannot compute are rejected now, not in the first
 * step. */
static err check_tower(const ops_plugin *plugin, const char *tower, int64_t width, int64_t heads) {
  const ops_limits *limits = &plugin->limits;
  int64_t head = heads > 0 ? width / heads : 0;
  if (limits->widest_norm && width > limits->widest_norm)
    return err_new(ERR_UNSUPPORTED,
                   "%s.width: %" PRId64 " is above %" PRId64 ", the widest layer norm that device: "
                   "%s computes; choose a smaller width or another device",
                   tower, width, limits->widest_norm, plugin->name);
  if (limits->widest_head && head > limits->widest_head)
    return err_new(ERR_UNSUPPORTED,
                   "%s.heads: %" PRId64 " makes heads of width %" PRId64 " of %s.width %" PRId64
                   ", above %" PRId64 ", the widest head that device: %s computes; choose more "
                   "heads or another device",
                   tower, heads, head, tower, width, limits->widest_head, plugin->name);
  return NULL;
}

static err check_limits(const ops_plugin *plugin, const settings *s) {
  err error = check_tower(plugin, "image", s->image_width, s->image_heads);
  if (!error && s->classification_classes == 0) /* a classifier has no text tower */
    error = check_tower(plugin, "text", s->text_width, s->text_heads);
  if (error || s->reconstruction_weight == 0) return error;
  return check_tower(plugin, "reconstruction", s->reconstruction_width, s->reconstruction_heads);
}

err ops_check_training(const ops *o, const settings *s, int64_t vocabulary) {
  int64_t most = o->plugin->limits.longest_table, side = s->image_size / s->image_patch;
  int64_t words = s->classification_classes ? 0 : settings_vocabulary_rows(s, vocabulary);
  int64_t positions = side * side + s->image_class_token;
  if (most && words > most)
    return err_new(ERR_UNSUPPORTED,
                   "%s: %" PRId64 " entries are above %" PRId64
                   ", the longest embedding table that "
                   "device: %s trains; choose a smaller vocabulary or another device",
                   s->text_vocabulary_rows ? "text.vocabulary_rows" : "text.vocabulary", words,
                   most, o->plugin->name);
  if (most && s->image_position == POSITION_LEARNED && positions > most)
    return err_new(ERR_UNSUPPORTED,
                   "image.patch: %" PRId64 " makes %" PRId64 " positions of image.size %" PRId64
                   ", above %" PRId64
                   ", the longest embedding table that device: %s trains; choose "
                   "larger patches, image.position: sincos or another device",
                   s->image_patch, positions, s->image_size, most, o->plugin->name);
  int64_t scored = (s->attentive_size ? s->attentive_size : s->image_size) / s->image_patch;
  int64_t attended = scored * scored + s->image_class_token;
  if (settings_is_attentive(s) && o->plugin->limits.most_attended &&
      attended > o->plugin->limits.most_attended)
    return err_new(ERR_UNSUPPORTED,
                   "mask_mode: attentive: %" PRId64 " tokens of %s: %" PRId64 " are above %" PRId64
                   ", the most that device: %s scores; choose a smaller "
                   "attentive.size or another device",
                   attended, s->attentive_size ? "attentive.size" : "image.size",
                   s->attentive_size ? s->attentive_size : s->image_size,
                   o->plugin->limits.most_attended, o->plugin->name);
  return NULL;
}

static err create(const ops_plugin *plugin, const settings *s, int precision, ops **out) {
  ops_request request = request_of(s, precision);
  err error = plugin->create(&request, out);
  if (!error) (*out)->plugin = plugin;
  return error;
}

err ops_open(const settings *s, ops_opened *out) {
  const ops_plugin *plugin;
  *out = (ops_opened){0};
  err error = choose(s, &plugin, out->note, sizeof out->note);
  if (!error) error = check_limits(plugin, s);
  if (!error) error = choose_precision(plugin, s, out);
  return error ? error : create(plugin, s, out->precision, &out->o);
}

err ops_open_as(const settings *s, int precision, ops **out) {
  const ops_plugin *plugin;
  err error = choose(s, &plugin, NULL, 0);
  if (!error) error = check_limits(plugin, s);
  return error ? error : create(plugin, s, precision, out);
}

err ops_measure_gemm(const settings *s, ops_type compute, double *flops_per_second) {
  const ops_plugin *plugin;
  err error = choose(s, &plugin, NULL, 0);
  int precision = compute == OPS_F32 ? PRECISION_FP32 : PRECISION_BF16;
  return error ? error : measure(plugin, s, precision, flops_per_second);
}

int ops_libraries(const ops *o, ops_library list[OPS_LIBRARIES]) {
  int count = cpu_plugin.libraries(list);
  return o->plugin == &cpu_plugin ? count : count + o->plugin->libraries(list + count);
}
