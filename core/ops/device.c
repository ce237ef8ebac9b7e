#include "ops/device.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/shipped.h"

static const double bf16_must_win_by = 1.1;

void ops_destroy(ops *o) {
  if (o) o->call->destroy(o);
}

/* FLIP_PLUGINS, or lib/ beside the folder that this program is in. */
static void plugin_path(char *path, size_t size) {
  char prefix[PATH_MAX];
  const char *folder = getenv("FLIP_PLUGINS");
  shipped_prefix(prefix);
  if (folder)
    snprintf(path, size, "%s/libflip_cuda.so", folder);
  else
    snprintf(path, size, "%s/lib/libflip_cuda.so", prefix);
}

/* dlopen counts its users, so opening again is cheap and nothing has to be kept. The plugin stays
 * loaded to the end of the process: CUDA's libraries do not like to be unloaded. */
static err load_plugin(const ops_plugin **out) {
  char path[PATH_MAX + 32];
  plugin_path(path, sizeof path);
  if (!fs_exists(path))
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
    return err_new(ERR_UNSUPPORTED, "%s belongs to another version of flip: build both together",
                   path);
  err error = plugin->probe();
  if (error) return err_context(error, "CUDA");
  *out = plugin;
  return NULL;
}

/* *plugin stays NULL for the CPU. */
static err choose(const settings *s, const ops_plugin **plugin, char *note, size_t note_size) {
  *plugin = NULL;
  if (s->device == DEVICE_CPU) return NULL;
  err error = load_plugin(plugin);
  if (!error || s->device == DEVICE_CUDA) return err_context(error, "device: cuda");
  /* A machine without any sign of a GPU needs no explanation. */
  if (note && access("/dev/nvidiactl", F_OK) == 0)
    snprintf(note, note_size, "device: auto takes the CPU: %s", err_message(error));
  err_free(error);
  return NULL;
}

static ops_request request_of(const settings *s, int precision) {
  return (ops_request){.compute = precision == PRECISION_FP32 ? OPS_F32 : OPS_BF16,
                       .is_narrow = precision == PRECISION_FP8,
                       .is_deterministic = s->deterministic};
}

static err create(const ops_plugin *plugin, const settings *s, int precision, ops **out) {
  ops_request request = request_of(s, precision);
  if (plugin) return plugin->create(&request, out);
  if (request.is_narrow) return ops_create_cpu_narrow((int)s->threads, out);
  return ops_create_cpu(request.compute, (int)s->threads, out);
}

static err measure(const ops_plugin *plugin, const settings *s, int precision, double *rate) {
  ops_request request = request_of(s, precision);
  return plugin ? plugin->measure_gemm(&request, rate)
                : ops_measure_cpu_gemm(request.compute, (int)s->threads, rate);
}

/* On the CPU: the faster of the two. On a GPU bf16, without looking. */
static err choose_precision(const ops_plugin *plugin, const settings *s, ops_opened *out) {
  double fp32 = 0, bf16 = 0;
  if (plugin || s->precision != PRECISION_AUTO) {
    out->precision = s->precision == PRECISION_AUTO ? PRECISION_BF16 : s->precision;
    return measure(plugin, s, out->precision, &out->gemm_flops_per_second);
  }
  err error = measure(plugin, s, PRECISION_FP32, &fp32);
  if (error) return error;
  err_free(measure(plugin, s, PRECISION_BF16, &bf16)); /* a processor without bf16 */
  bool is_bf16 = bf16 > fp32 * bf16_must_win_by;
  out->precision = is_bf16 ? PRECISION_BF16 : PRECISION_FP32;
  out->gemm_flops_per_second = is_bf16 ? bf16 : fp32;
  return NULL;
}

/* Settings that are legal and that this backend cannot do: said now, not in the first step. */
static err check_limits(const settings *s, const ops *o) {
  const struct {
    const char *tower;
    int64_t width, heads;
  } towers[] = {{"image", s->image_width, s->image_heads}, {"text", s->text_width, s->text_heads}};
  for (int i = 0; i < 2; i++) {
    int64_t width = towers[i].width, head = towers[i].heads > 0 ? width / towers[i].heads : 0;
    if (o->widest_norm && width > o->widest_norm)
      return err_new(ERR_UNSUPPORTED,
                     "%s.width: %" PRId64 " is more than this device's kernels can do (%" PRId64
                     "); choose a narrower tower, or device: cpu",
                     towers[i].tower, width, o->widest_norm);
    if (o->widest_head && head > o->widest_head)
      return err_new(ERR_UNSUPPORTED,
                     "%s.heads: %" PRId64 " heads of width %" PRId64 " are wider than this "
                     "device's kernels can do (%" PRId64 "); choose more heads, or device: cpu",
                     towers[i].tower, towers[i].heads, head, o->widest_head);
  }
  return NULL;
}

/* Gives the device back when the settings do not fit it. */
static err keep_if_fitting(const settings *s, ops **o) {
  err error = check_limits(s, *o);
  if (error) {
    ops_destroy(*o);
    *o = NULL;
  }
  return error;
}

err ops_open(const settings *s, ops_opened *out) {
  const ops_plugin *plugin;
  *out = (ops_opened){0};
  err error = choose(s, &plugin, out->note, sizeof out->note);
  if (!error) error = choose_precision(plugin, s, out);
  if (!error) error = create(plugin, s, out->precision, &out->o);
  return error ? error : keep_if_fitting(s, &out->o);
}

err ops_open_as(const settings *s, int precision, ops **out) {
  const ops_plugin *plugin;
  err error = choose(s, &plugin, NULL, 0);
  if (!error) error = create(plugin, s, precision, out);
  return error ? error : keep_if_fitting(s, out);
}

err ops_measure_gemm(const settings *s, ops_type compute, double *flops_per_second) {
  const ops_plugin *plugin;
  err error = choose(s, &plugin, NULL, 0);
  int precision = compute == OPS_F32 ? PRECISION_FP32 : PRECISION_BF16;
  return error ? error : measure(plugin, s, precision, flops_per_second);
}
