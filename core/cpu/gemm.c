/* Matrix products by oneDNN: one primitive per shape, created once and cached.
 *
 * Bound: the processor's multiply-add rate. Plain row-major layouts are used throughout: on the
 * shapes of a small ViT oneDNN's blocked weight layouts gained under 5 % and cost a reorder of
 * every weight after each update. */
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cpu/cpu.h"

/* What makes two products the same primitive. */
typedef struct {
  int64_t m, n, k;
  int transpose_a, transpose_b, accumulate, has_bias, type_in, type_out;
} gemm_key;

typedef struct {
  gemm_key key;
  dnnl_primitive_t primitive;
  dnnl_memory_t a, b, c, bias, scratchpad;
} gemm_entry;

enum { CACHE_SLOTS = 512 };

struct gemm_cache {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  gemm_entry entries[CACHE_SLOTS];
  size_t count;
  void *scratchpad;
  size_t scratchpad_bytes;
};

static err dnnl_error(dnnl_status_t status, const char *what) {
  if (status == dnnl_success) return NULL;
  return err_new(status == dnnl_out_of_memory ? ERR_MEMORY : ERR_UNSUPPORTED,
                 "oneDNN: %s failed with status %d", what, (int)status);
}

/* By default each kernel that oneDNN makes is announced to VTune, which takes longer than making
 * it.
 */
static void announce_nothing(void) {
  if (!getenv("ONEDNN_JIT_PROFILE") && !getenv("DNNL_JIT_PROFILE"))
    (void)dnnl_set_jit_profiling_flags(DNNL_JIT_PROFILE_NONE);
}

err gemm_cache_create(gemm_cache **out) {
  announce_nothing();
  gemm_cache *cache = mem_zeroed(1, sizeof *cache);
  if (!cache) return mem_error(sizeof *cache, "the matrix-product cache");
  err error = dnnl_error(dnnl_engine_create(&cache->engine, dnnl_cpu, 0), "creating an engine");
  if (!error)
    error = dnnl_error(dnnl_stream_create(&cache->stream, cache->engine, dnnl_stream_default_flags),
                       "creating a stream");
  if (error)
    gemm_cache_destroy(cache);
  else
    *out = cache;
  return error;
}

static void free_entry(gemm_entry *e) {
  dnnl_memory_t memories[] = {e->a, e->b, e->c, e->bias, e->scratchpad};
  for (size_t i = 0; i < sizeof memories / sizeof *memories; i++)
    if (memories[i]) dnnl_memory_destroy(memories[i]);
  if (e->primitive) dnnl_primitive_destroy(e->primitive);
  *e = (gemm_entry){0};
}

static void empty_cache(gemm_cache *cache) {
  for (size_t i = 0; i < cache->count; i++) free_entry(&cache->entries[i]);
  cache->count = 0;
}

void gemm_cache_destroy(gemm_cache *cache) {
  if (!cache) return;
  empty_cache(cache);
  if (cache->stream) dnnl_stream_destroy(cache->stream);
  if (cache->engine) dnnl_engine_destroy(cache->engine);
  free(cache->scratchpad);
  free(cache);
}

void gemm_library_version(char *version, size_t size) {
  const dnnl_version_t *v = dnnl_version();
  snprintf(version, size, "%d.%d.%d", v->major, v->minor, v->patch);
}

void gemm_library_isa(char *isa, size_t size) {
  static const char prefix[] = "cpu_isa_";
  const char *name = dnnl_cpu_isa2str(dnnl_get_effective_cpu_isa());
  const size_t length = sizeof prefix - 1;
  snprintf(isa, size, "%s", strncmp(name, prefix, length) == 0 ? name + length : name);
}

static dnnl_data_type_t type_of(int type) {
  return type == OPS_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* What oneDNN 2 (Debian 12) and 3 (Debian 13) do differently: a description is a value, or an
 * object that must be destroyed. */
#if DNNL_VERSION_MAJOR == 2
typedef const dnnl_memory_desc_t *gemm_view;
#define VIEW(description) (&(description))

static dnnl_status_t describe_layout(dnnl_memory_desc_t *desc, const dnnl_dims_t dims,
                                     dnnl_data_type_t type, dnnl_format_tag_t layout) {
  return dnnl_memory_desc_init_by_tag(desc, 2, dims, type, layout);
}

static void forget(dnnl_memory_desc_t desc) {
  (void)desc;
}

static dnnl_status_t append_sum(dnnl_post_ops_t post) {
  return dnnl_post_ops_append_sum(post, 1.0f);
}

static dnnl_status_t plan(dnnl_primitive_desc_t *made, dnnl_engine_t engine, gemm_view a,
                          gemm_view b, gemm_view bias, gemm_view c,
                          const_dnnl_primitive_attr_t attributes) {
  dnnl_matmul_desc_t desc;
  dnnl_status_t status = dnnl_matmul_desc_init(&desc, a, b, bias, c);
  if (status != dnnl_success) return status;
  return dnnl_primitive_desc_create(made, &desc, attributes, engine, NULL);
}
#else
typedef const_dnnl_memory_desc_t gemm_view;
#define VIEW(description) (description)

static dnnl_status_t describe_layout(dnnl_memory_desc_t *desc, const dnnl_dims_t dims,
                                     dnnl_data_type_t type, dnnl_format_tag_t layout) {
  return dnnl_memory_desc_create_with_tag(desc, 2, dims, type, layout);
}

static void forget(dnnl_memory_desc_t desc) {
  if (desc) dnnl_memory_desc_destroy(desc);
}

static dnnl_status_t append_sum(dnnl_post_ops_t post) {
  return dnnl_post_ops_append_sum(post, 1.0f, 0, dnnl_data_type_undef);
}

static dnnl_status_t plan(dnnl_primitive_desc_t *made, dnnl_engine_t engine, gemm_view a,
                          gemm_view b, gemm_view bias, gemm_view c,
                          const_dnnl_primitive_attr_t attributes) {
  return dnnl_matmul_primitive_desc_create(made, engine, a, b, bias, c, attributes);
}
#endif

static err describe(dnnl_memory_desc_t *desc, int64_t rows, int64_t columns, int type,
                    bool is_transposed) {
  const dnnl_dims_t dims = {rows, columns};
  return dnnl_error(describe_layout(desc, dims, type_of(type), is_transposed ? dnnl_ba : dnnl_ab),
                    "describing a matrix");
}

static err make_attributes(const gemm_key *key, dnnl_primitive_attr_t *attributes) {
  dnnl_post_ops_t post = NULL;
  err error = dnnl_error(dnnl_primitive_attr_create(attributes), "creating attributes");
  if (!error)
    error =
        dnnl_error(dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user),
                   "choosing the scratchpad");
  if (!error && key->accumulate) {
    error = dnnl_error(dnnl_post_ops_create(&post), "creating a post-op");
    if (!error) error = dnnl_error(append_sum(post), "adding a sum");
    if (!error)
      error = dnnl_error(dnnl_primitive_attr_set_post_ops(*attributes, post), "setting a sum");
    if (post) dnnl_post_ops_destroy(post);
  }
  return error;
}

static err make_memory(gemm_cache *cache, gemm_view desc, dnnl_memory_t *memory) {
  return dnnl_error(dnnl_memory_create(memory, desc, cache->engine, DNNL_MEMORY_NONE),
                    "creating a memory object");
}

static err make_entry(gemm_cache *cache, const gemm_key *key, gemm_entry *e) {
  dnnl_memory_desc_t a = {0}, b = {0}, c = {0}, bias = {0};
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_primitive_desc_t made = NULL;
  err error = NULL;
  e->key = *key;
  TRY(describe(&a, key->m, key->k, key->type_in, key->transpose_a));
  TRY(describe(&b, key->k, key->n, key->type_in, key->transpose_b));
  TRY(describe(&c, key->m, key->n, key->type_out, false));
  TRY(describe(&bias, 1, key->n, OPS_F32, false));
  TRY(make_attributes(key, &attributes));
  TRY(dnnl_error(plan(&made, cache->engine, VIEW(a), VIEW(b), key->has_bias ? VIEW(bias) : NULL,
                      VIEW(c), attributes),
                 "planning a product"));
  TRY(dnnl_error(dnnl_primitive_create(&e->primitive, made), "building a product"));
  TRY(make_memory(cache, VIEW(a), &e->a));
  TRY(make_memory(cache, VIEW(b), &e->b));
  TRY(make_memory(cache, VIEW(c), &e->c));
  if (key->has_bias) TRY(make_memory(cache, VIEW(bias), &e->bias));
  gemm_view scratchpad = dnnl_primitive_desc_query_md(made, dnnl_query_scratchpad_md, 0);
  size_t bytes = dnnl_memory_desc_get_size(scratchpad);
  if (bytes > cache->scratchpad_bytes) {
    void *larger = mem_aligned(bytes);
    if (!larger) {
      error = mem_error(bytes, "oneDNN's scratchpad");
      goto cleanup;
    }
    free(cache->scratchpad);
    cache->scratchpad = larger;
    cache->scratchpad_bytes = bytes;
  }
  TRY(make_memory(cache, scratchpad, &e->scratchpad));
cleanup:
  forget(a), forget(b), forget(c), forget(bias);
  if (made) dnnl_primitive_desc_destroy(made);
  if (attributes) dnnl_primitive_attr_destroy(attributes);
  if (error) free_entry(e);
  return error;
}

static bool is_same(const gemm_key *a, const gemm_key *b) {
  return a->m == b->m && a->n == b->n && a->k == b->k && a->transpose_a == b->transpose_a &&
         a->transpose_b == b->transpose_b && a->accumulate == b->accumulate &&
         a->has_bias == b->has_bias && a->type_in == b->type_in && a->type_out == b->type_out;
}

static err find_entry(gemm_cache *cache, const gemm_key *key, gemm_entry **found) {
  for (size_t i = 0; i < cache->count; i++) {
    if (is_same(&cache->entries[i].key, key)) {
      *found = &cache->entries[i];
      return NULL;
    }
  }
  if (cache->count == CACHE_SLOTS) empty_cache(cache);
  err error = make_entry(cache, key, &cache->entries[cache->count]);
  if (error)
    return err_context(error, "matrix product %ld x %ld x %ld", (long)key->m, (long)key->n,
                       (long)key->k);
  *found = &cache->entries[cache->count++];
  return NULL;
}

static err execute(gemm_cache *cache, gemm_entry *e, void *a, void *b, void *bias, void *c) {
  dnnl_memory_set_data_handle(e->a, a);
  dnnl_memory_set_data_handle(e->b, b);
  dnnl_memory_set_data_handle(e->c, c);
  dnnl_memory_set_data_handle(e->scratchpad, cache->scratchpad);
  dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, e->a},
                                 {DNNL_ARG_WEIGHTS, e->b},
                                 {DNNL_ARG_DST, e->c},
                                 {DNNL_ARG_SCRATCHPAD, e->scratchpad},
                                 {DNNL_ARG_BIAS, e->bias}};
  if (bias) dnnl_memory_set_data_handle(e->bias, bias);
  err error =
      dnnl_error(dnnl_primitive_execute(e->primitive, cache->stream, bias ? 5 : 4, arguments),
                 "a matrix product");
  return error ? error : dnnl_error(dnnl_stream_wait(cache->stream), "waiting for a product");
}

/* The product and its bias by oneDNN, into `target`. */
static err multiply_as_given(ops *o, const ops_gemm *g, ops_buffer target) {
  gemm_key key = {g->m,
                  g->n,
                  g->k,
                  g->transpose_a,
                  g->transpose_b,
                  g->accumulate,
                  g->bias.data != NULL,
                  (int)g->a.type,
                  (int)target.type};
  gemm_cache *cache = cpu_of(o)->gemms;
  gemm_entry *entry = NULL;
  err error = find_entry(cache, &key, &entry);
  return error ? error : execute(cache, entry, g->a.data, g->b.data, g->bias.data, target.data);
}

/* The same on a processor for which oneDNN has no bf16 products (it has them from AVX-512 on): in
 * fp32 on widened operands, which is exact, and the result is rounded. Correct, not fast. */
static err multiply_widened(ops *o, const ops_gemm *g, ops_buffer target) {
  cpu_state *state = cpu_of(o);
  size_t of_a = mem_rounded((size_t)(g->m * g->k) * sizeof(float));
  size_t of_b = mem_rounded((size_t)(g->k * g->n) * sizeof(float));
  size_t of_c = target.type == OPS_F32 ? 0 : (size_t)(g->m * g->n) * sizeof(float);
  err error = cpu_grow(&state->widened, &state->widened_bytes, of_a + of_b + of_c,
                       "operands of a bf16 product");
  if (error) return error;
  char *block = state->widened;
  ops_gemm wide = *g;
  wide.a = (ops_buffer){block, OPS_F32};
  wide.b = (ops_buffer){block + of_a, OPS_F32};
  ops_buffer c = of_c ? (ops_buffer){block + of_a + of_b, OPS_F32} : target;
  error = o->call->cast(o, g->m * g->k, g->a, wide.a);
  if (!error) error = o->call->cast(o, g->k * g->n, g->b, wide.b);
  if (!error) error = multiply_as_given(o, &wide, c);
  return error || !of_c ? error : o->call->cast(o, g->m * g->n, c, target);
}

/* oneDNN 2.6's products in tiles (AMX) of this depth, and of no other that was tried, run with
 * tiles of a wrong shape: wrong numbers, or an illegal instruction (docs/kernels.md). */
static bool is_wrong_in_tiles(const ops_gemm *g) {
  enum { WRONG_DEPTH = 63 };
  return g->a.type == OPS_BF16 && g->k == WRONG_DEPTH &&
         (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_amx) ==
             dnnl_cpu_isa_avx512_core_amx;
}

static err multiply(ops *o, const ops_gemm *g, ops_buffer target) {
  cpu_state *state = cpu_of(o);
  bool is_widened = state->lacks_bf16 || is_wrong_in_tiles(g);
  if (g->a.type == OPS_BF16 && is_widened) return multiply_widened(o, g, target);
  err error = multiply_as_given(o, g, target);
  if (!error || g->a.type != OPS_BF16 || err_kind_of(error) != ERR_UNSUPPORTED) return error;
  err_free(error);
  state->lacks_bf16 = true;
  return multiply_widened(o, g, target);
}

err cpu_gemm(ops *o, const ops_gemm *g) {
  CPU_ASSERT(g->m > 0 && g->n > 0 && g->k > 0);
  CPU_ASSERT(g->narrow_a.scale.data ? g->narrow_b.scale.data != NULL : g->a.type == g->b.type);
  CPU_ASSERT(!g->c_sums.data && !g->c_maximum.data);
  CPU_ASSERT(!g->activated.data || g->epilogue == OPS_EPILOGUE_ACTIVATION_GRADIENT);
  CPU_ASSERT(!g->accumulate || (!g->bias.data && g->epilogue == OPS_EPILOGUE_NONE));
  const cpu_kernels *kernels = cpu_of(o)->kernels;
  if (kernels->multiplies_in_tiles && kernels->multiplies_in_tiles(g))
    return kernels->gemm_in_tiles(o, g);
  bool keeps_pre = g->epilogue == OPS_EPILOGUE_ACTIVATION;
  ops_buffer target = keeps_pre ? g->pre : g->c;
  err error = g->narrow_a.scale.data ? cpu_gemm_narrow(o, g, target) : multiply(o, g, target);
  if (error) return error;
  const ops_activate activated = {g->activation, g->m * g->n, g->pre, g->c};
  if (keeps_pre) error = kernels->ops.activate(o, &activated);
  if (error) return error;
  if (g->epilogue == OPS_EPILOGUE_ACTIVATION_GRADIENT) kernels->activate_gradient(g);
  return g->a_sums.data ? kernels->add_sums(o, g) : NULL;
}
