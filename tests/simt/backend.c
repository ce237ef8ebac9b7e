#include "simt/backend.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "cuda/kernels.h"
#include "simt/simt.h"
#include "support/ops_reference.h"

static err launched(const char *what, int failed) {
  if (!failed) return NULL;
  const char *message = simt_message();
  return err_new(ERR_INTERNAL, "%s: %s", what, message[0] ? message : "refused by the launcher");
}

/* Runs a launcher that takes scratch of `bytes`, named `scratch` in the call. */
#define WITH_SCRATCH(what, bytes, call)                                                            \
  do {                                                                                             \
    void *scratch = simt_allocate(bytes);                                                          \
    if (!scratch) return mem_error(bytes, what);                                                   \
    int failed_ = (call);                                                                          \
    simt_release(scratch);                                                                         \
    return launched(what, failed_);                                                                \
  } while (0)

static err simt_backend_allocate(ops *o, size_t bytes, const char *what, void **block) {
  (void)o;
  *block = simt_allocate(bytes);
  return *block ? NULL : mem_error(bytes, what);
}

static void simt_backend_release(ops *o, void *block) {
  (void)o;
  if (block) simt_release(block);
}

static err copy(ops *o, void *to, const void *from, size_t bytes) {
  (void)o;
  simt_touch_begin();
  memcpy(to, from, bytes);
  simt_touch_end();
  return NULL;
}

static err clear(ops *o, void *block, size_t bytes) {
  (void)o;
  simt_touch_begin();
  memset(block, 0, bytes);
  simt_touch_end();
  return NULL;
}

static err synchronize(ops *o) {
  (void)o;
  return NULL;
}

static bool is_idle(ops *o) {
  (void)o;
  return true;
}

static err sum_a(const ops_gemm *g) {
  if (g->transpose_a)
    WITH_SCRATCH("column sums", kernel_column_sums_scratch(g->k, g->m),
                 kernel_column_sums(g->k, g->m, g->m, g->a, g->a_sums, scratch, NULL));
  return launched("row sums", kernel_row_sums(g->m, g->k, g->a, g->a_sums, NULL));
}

static double product(const ops_gemm *g, int64_t i, int64_t j) {
  double sum = g->bias.data ? reference_get(g->bias, j) : 0;
  for (int64_t k = 0; k < g->k; k++)
    sum += reference_get(g->a, g->transpose_a ? k * g->m + i : i * g->k + k) *
           reference_get(g->b, g->transpose_b ? j * g->k + k : k * g->n + j);
  return sum;
}

static err gemm(ops *o, const ops_gemm *g) {
  (void)o;
  ops_buffer result = g->epilogue == OPS_EPILOGUE_ACTIVATION ? g->pre : g->c;
  simt_touch_begin();
  for (int64_t i = 0; i < g->m; i++)
    for (int64_t j = 0; j < g->n; j++) {
      int64_t at = i * g->n + j;
      double before = g->accumulate ? reference_get(g->c, at) : 0;
      reference_set(result, at, before + product(g, i, j));
    }
  simt_touch_end();
  int64_t count = g->m * g->n;
  int failed = 0;
  if (g->c_sums.data)
    WITH_SCRATCH("activation gradient with sums",
                 kernel_activation_gradient_sums_scratch(g->m, g->n),
                 kernel_activation_gradient_sums(g->activation, g->m, g->n, g->pre, g->c, g->c_sums,
                                                 g->c_maximum, scratch, NULL));
  if (g->epilogue == OPS_EPILOGUE_ACTIVATION)
    failed = kernel_activation(g->activation, count, g->pre, g->c, NULL);
  else if (g->epilogue == OPS_EPILOGUE_ACTIVATION_GRADIENT)
    failed = kernel_activation_gradient(g->activation, count, g->pre, g->c, NULL);
  err error = launched("activation", failed);
  return error || !g->a_sums.data ? error : sum_a(g);
}

static err activate(ops *o, const ops_activate *a) {
  (void)o;
  return launched("activation", kernel_activation(a->activation, a->count, a->pre, a->c, NULL));
}

static err layer_norm(ops *o, const ops_layer_norm *n) {
  (void)o;
  return launched("layer norm", kernel_layer_norm(n, NULL));
}

static err layer_norm_gradient(ops *o, const ops_layer_norm_gradient *n) {
  (void)o;
  WITH_SCRATCH("layer norm gradient", kernel_layer_norm_gradient_scratch(n->rows, n->width),
               kernel_layer_norm_gradient(n, scratch, NULL));
}

static err attention(ops *o, const ops_attention *a) {
  (void)o;
  return launched("attention", kernel_attention(a, NULL));
}

static err attention_gradient(ops *o, const ops_attention *a) {
  (void)o;
  WITH_SCRATCH("attention gradient", kernel_attention_gradient_scratch(a),
               kernel_attention_gradient(a, scratch, NULL));
}

static err patches(ops *o, const ops_patches *p) {
  (void)o;
  return launched("patches", kernel_patches(p, NULL));
}

static err assemble(ops *o, const ops_assemble *a) {
  (void)o;
  return launched("assemble", kernel_assemble(a, NULL));
}

static err assemble_gradient(ops *o, const ops_assemble *a) {
  (void)o;
  WITH_SCRATCH("assemble gradient", kernel_assemble_gradient_scratch(a->batch, a->keep, a->width),
               kernel_assemble_gradient(a, scratch, NULL));
}

static err embed(ops *o, const ops_embed *e) {
  (void)o;
  return launched("embed", kernel_embed(e, NULL));
}

static err embed_gradient(ops *o, const ops_embed *e) {
  (void)o;
  WITH_SCRATCH("embed gradient", kernel_embed_gradient_scratch(e->batch, e->length, e->width),
               kernel_embed_gradient(e, scratch, NULL));
}

static err attended(ops *o, const ops_attended *a) {
  (void)o;
  return launched("attended", kernel_attended(a, NULL));
}

static err pool(ops *o, const ops_pool *p) {
  (void)o;
  return launched("pool", kernel_pool(p, NULL));
}

static err pool_gradient(ops *o, const ops_pool *p) {
  (void)o;
  return launched("pool gradient", kernel_pool_gradient(p, NULL));
}

static err dropout(ops *o, const ops_dropout *d) {
  (void)o;
  rng noise = rng_at(d->seed, RNG_DROPOUT, 0, 0);
  return launched("dropout", kernel_dropout(d, noise.key, NULL));
}

static err normalize(ops *o, const ops_normalize *n) {
  (void)o;
  return launched("normalize", kernel_normalize(n, NULL));
}

static err normalize_gradient(ops *o, const ops_normalize *n) {
  (void)o;
  return launched("normalize gradient", kernel_normalize_gradient(n, NULL));
}

static err contrastive_statistics(ops *o, const ops_contrastive *c) {
  (void)o;
  WITH_SCRATCH("contrastive statistics", kernel_contrastive_scratch(c->rows, c->columns),
               kernel_contrastive_statistics(c, scratch, NULL));
}

static err contrastive_gradient(ops *o, const ops_contrastive *c) {
  (void)o;
  WITH_SCRATCH("contrastive gradient", kernel_contrastive_scratch(c->rows, c->columns),
               kernel_contrastive_gradient(c, scratch, NULL));
}

static err contrastive_finish(ops *o, const ops_contrastive_end *c) {
  (void)o;
  return launched("contrastive finish", kernel_contrastive_finish(c, NULL));
}

static err pixel_error(ops *o, const ops_pixel_error *p) {
  (void)o;
  return launched("pixel error", kernel_pixel_error(p, NULL));
}

static err sum_squares(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  (void)o;
  WITH_SCRATCH("sum of squares", kernel_sum_squares_scratch(),
               kernel_sum_squares(count, x, out, scratch, NULL));
}

static err sum_square_blocks(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  (void)o;
  return launched("sums of squares", kernel_sum_square_blocks(count, x, out, NULL));
}

static err sum(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  (void)o;
  return launched("sum", kernel_sum(count, x, out, NULL));
}

static err adamw(ops *o, const ops_adamw *a) {
  (void)o;
  rng noise = rng_at(a->seed, RNG_MOMENTS, 0, 0);
  return launched("adamw", kernel_adamw(a, noise.key, NULL));
}

static err average(ops *o, int64_t count, ops_buffer x, ops_buffer to, double momentum) {
  (void)o;
  return launched("average", kernel_average(count, x, to, momentum, NULL));
}

static err fill(ops *o, int64_t count, ops_buffer x, double value) {
  (void)o;
  return launched("fill", kernel_fill(count, x, value, NULL));
}

static err cast(ops *o, int64_t count, ops_buffer from, ops_buffer to) {
  (void)o;
  return launched("cast", kernel_cast(count, from, to, NULL));
}

static void destroy(ops *o) {
  free(o);
}

static const ops_table simt_table = {.name = "simt",
                                     .sums =
                                         OPS_SUMS_ATTENTION | OPS_SUMS_NORM | OPS_SUMS_ACTIVATION,
                                     .allocate = simt_backend_allocate,
                                     .release = simt_backend_release,
                                     .upload = copy,
                                     .download = copy,
                                     .clear = clear,
                                     .synchronize = synchronize,
                                     .upload_ahead = copy,
                                     .join = synchronize,
                                     .is_idle = is_idle,
                                     .gemm = gemm,
                                     .activate = activate,
                                     .layer_norm = layer_norm,
                                     .layer_norm_gradient = layer_norm_gradient,
                                     .attention = attention,
                                     .attention_gradient = attention_gradient,
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
                                     .destroy = destroy};

err ops_create_simt(ops_type compute, ops **out) {
  if (compute != OPS_F32 && compute != OPS_BF16)
    return err_new(ERR_INTERNAL, "the kernels compute in fp32 or bf16");
  ops *o = mem_zeroed(1, sizeof *o);
  if (!o) return mem_error(sizeof *o, "the simt backend");
  *o = (ops){.call = &simt_table, .compute = compute, .master = OPS_F32, .threads = 1};
  simt_separate_memory();
  *out = o;
  return NULL;
}
