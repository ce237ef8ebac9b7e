/* The table of the CUDA backend: each op with the scratch that its kernel needs, on the stream. */
#include "base/rng.h"
#include "cuda/cuda.h"
#include "cuda/kernels.h"

/* An op whose kernel needs `bytes` of scratch; `launch` sees it as `scratch`. */
#define WITH_SCRATCH(bytes, launch, what)                                                          \
  do {                                                                                             \
    void *scratch;                                                                                 \
    err error = cuda_scratch(o, bytes, &scratch);                                                  \
    return error ? error : cuda_error(launch, what);                                               \
  } while (0)

#define STREAM ((void *)cuda_of(o)->compute)

static err advance_scales(ops *o, const ops_scales *s) {
  return cuda_error(kernel_advance_scales(s, STREAM), "scales of 8-bit operands");
}

static err layer_norm(ops *o, const ops_layer_norm *n) {
  return cuda_error(kernel_layer_norm(n, STREAM), "layer norm");
}

static err layer_norm_gradient(ops *o, const ops_layer_norm_gradient *n) {
  WITH_SCRATCH(kernel_layer_norm_gradient_scratch(n->rows, n->width),
               kernel_layer_norm_gradient(n, scratch, STREAM), "layer norm's gradient");
}

static err attended(ops *o, const ops_attended *a) {
  return cuda_error(kernel_attended(a, STREAM), "attention scores");
}

static err patches(ops *o, const ops_patches *p) {
  return cuda_error(kernel_patches(p, STREAM), "patches");
}

static err assemble(ops *o, const ops_assemble *a) {
  return cuda_error(kernel_assemble(a, STREAM), "tokens");
}

static err assemble_gradient(ops *o, const ops_assemble *a) {
  WITH_SCRATCH(kernel_assemble_gradient_scratch(a->batch, a->keep, a->width),
               kernel_assemble_gradient(a, scratch, STREAM), "tokens' gradient");
}

static err embed(ops *o, const ops_embed *e) {
  return cuda_error(kernel_embed(e, STREAM), "embedding");
}

static err embed_gradient(ops *o, const ops_embed *e) {
  WITH_SCRATCH(kernel_embed_gradient_scratch(e->batch, e->length, e->width),
               kernel_embed_gradient(e, scratch, STREAM), "embedding's gradient");
}

static err pool(ops *o, const ops_pool *p) {
  return cuda_error(kernel_pool(p, STREAM), "pooling");
}

static err pool_gradient(ops *o, const ops_pool *p) {
  return cuda_error(kernel_pool_gradient(p, STREAM), "pooling's gradient");
}

static err activate(ops *o, const ops_activate *a) {
  return cuda_error(kernel_activation(a->activation, a->count, a->pre, a->c, STREAM),
                    "an activation");
}

static err dropout(ops *o, const ops_dropout *d) {
  rng noise = rng_at(d->seed, RNG_DROPOUT, 0, 0);
  return cuda_error(kernel_dropout(d, noise.key, STREAM), "dropout");
}

static err normalize(ops *o, const ops_normalize *n) {
  return cuda_error(kernel_normalize(n, STREAM), "normalization");
}

static err normalize_gradient(ops *o, const ops_normalize *n) {
  return cuda_error(kernel_normalize_gradient(n, STREAM), "normalization's gradient");
}

static err contrastive_statistics(ops *o, const ops_contrastive *c) {
  WITH_SCRATCH(kernel_contrastive_scratch(c->rows, c->columns),
               kernel_contrastive_statistics(c, scratch, STREAM), "the loss");
}

static err contrastive_gradient(ops *o, const ops_contrastive *c) {
  WITH_SCRATCH(kernel_contrastive_scratch(c->rows, c->columns),
               kernel_contrastive_gradient(c, scratch, STREAM), "the loss's gradient");
}

static err contrastive_finish(ops *o, const ops_contrastive_end *c) {
  return cuda_error(kernel_contrastive_finish(c, STREAM), "the loss");
}

static err pixel_error(ops *o, const ops_pixel_error *p) {
  return cuda_error(kernel_pixel_error(p, STREAM), "the reconstruction's error");
}

static err sum_squares(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  WITH_SCRATCH(kernel_sum_squares_scratch(), kernel_sum_squares(count, x, out, scratch, STREAM),
               "the gradient's norm");
}

static err sum_square_blocks(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  return cuda_error(kernel_sum_square_blocks(count, x, out, STREAM), "the gradient's norm");
}

static err sum(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  return cuda_error(kernel_sum(count, x, out, STREAM), "a sum");
}

static err adamw(ops *o, const ops_adamw *a) {
  rng noise = rng_at(a->seed, RNG_MOMENTS, 0, 0);
  return cuda_error(kernel_adamw(a, noise.key, STREAM), "AdamW");
}

static err average(ops *o, int64_t count, ops_buffer x, ops_buffer to, double momentum) {
  return cuda_error(kernel_average(count, x, to, momentum, STREAM), "a moving average");
}

static err fill(ops *o, int64_t count, ops_buffer x, double value) {
  return cuda_error(kernel_fill(count, x, value, STREAM), "filling memory");
}

static err cast(ops *o, int64_t count, ops_buffer from, ops_buffer to) {
  return cuda_error(kernel_cast(count, from, to, STREAM), "a cast");
}

static void usage(ops *o, ops_usage *out) {
  nvml_read(cuda_of(o)->meter, out);
}

const ops_table cuda_table = {
    .name = "cuda",
    .has_maxima = true,
    .widest_narrow_norm = KERNEL_WIDEST_NARROW_NORM,
    .narrows_attention = true,
    .sums = OPS_SUMS_ATTENTION | OPS_SUMS_NORM | OPS_SUMS_ACTIVATION,
    .allocate = cuda_allocate,
    .release = cuda_release,
    .upload = cuda_upload,
    .download = cuda_download,
    .clear = cuda_clear,
    .synchronize = cuda_synchronize,
    .upload_ahead = cuda_upload_ahead,
    .join = cuda_join,
    .follow = cuda_follow,
    .download_behind = cuda_download_behind,
    .await_download = cuda_await_download,
    .pin = cuda_pin,
    .unpin = cuda_unpin,
    .branch = cuda_branch,
    .merge = cuda_merge,
    .allow_branches = cuda_allow_branches,
    .record = cuda_record,
    .record_end = cuda_record_end,
    .replay = cuda_replay,
    .forget = cuda_forget,
    .memory = cuda_memory,
    .usage = usage,
    .is_idle = cuda_is_idle,
    .queue = cuda_queue,
    .narrow = cuda_narrow,
    .advance_scales = advance_scales,
    .gemm = cuda_gemm,
    .activate = activate,
    .layer_norm = layer_norm,
    .layer_norm_gradient = layer_norm_gradient,
    .attention = cuda_attention,
    .attention_gradient = cuda_attention_gradient,
    .attended = attended,
    .patches = patches,
    .assemble = assemble,
    .assemble_gradient = assemble_gradient,
    .embed = embed,
    .embed_gradient = embed_gradient,
    .pool = pool,
    .pool_gradient = pool_gradient,
    .dropout = dropout,
    .normalize = normalize,
    .normalize_gradient = normalize_gradient,
    .contrastive_statistics = contrastive_statistics,
    .contrastive_gradient = contrastive_gradient,
    .contrastive_finish = contrastive_finish,
    .pixel_error = pixel_error,
    .sum_squares = sum_squares,
    .sum_square_blocks = sum_square_blocks,
    .sum = sum,
    .adamw = adamw,
    .average = average,
    .fill = fill,
    .cast = cast,
    .destroy = cuda_destroy,
};
