/* The CPU backend's table, memory and rate measurement. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/processor.h"
#include "cpu/cpu.h"
#include "cpu/plugin.h"

void cpu_assert_failed(const char *condition, const char *file, int line) {
  fprintf(stderr, "flip: internal error: %s:%d: assertion failed: %s\n", file, line, condition);
  abort();
}

err cpu_scratch(ops *o, size_t floats, float **scratch) {
  cpu_state *state = cpu_of(o);
  if (floats > state->scratch_floats) {
    float *larger = mem_aligned(floats * sizeof *larger);
    if (!larger) return mem_error(floats * sizeof *larger, "a kernel's scratch");
    free(state->scratch);
    state->scratch = larger;
    state->scratch_floats = floats;
  }
  *scratch = state->scratch;
  return NULL;
}

err cpu_grow(void **block, size_t *held, size_t bytes, const char *what) {
  if (bytes <= *held) return NULL;
  void *larger = mem_aligned(bytes);
  if (!larger) return mem_error(bytes, what);
  free(*block);
  *block = larger;
  *held = bytes;
  return NULL;
}

/* Flushes numbers below 1e-38 to zero on the calling thread: a product with such a number takes
 * hundreds of cycles, and softmax produces many of them. */
static void flush_subnormals(void) {
#ifdef __SSE__
  _mm_setcsr(_mm_getcsr() | 0x8040u); /* flush to zero, denormals are zero */
#endif
}

/* Large blocks use 2 MiB pages where available: fewer faults at the first touch, and distant rows
 * do not each need a page-table walk. */
static err cpu_allocate(ops *o, size_t bytes, const char *what, void **block) {
  (void)o;
  enum { HUGE_PAGE = 2 << 20 };
  if (bytes >= 2 * HUGE_PAGE) {
    *block = aligned_alloc(HUGE_PAGE, (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    if (*block) madvise(*block, bytes, MADV_HUGEPAGE);
  } else {
    *block = mem_aligned(bytes);
  }
  return *block ? NULL : mem_error(bytes, what);
}

static void cpu_release(ops *o, void *block) {
  (void)o;
  free(block);
}

enum { PART = 1 << 20 }; /* bytes: from here on worth a thread of its own */

static int64_t parts_of(size_t bytes) {
  return (int64_t)((bytes + PART - 1) / PART);
}

static size_t bytes_of_part(size_t bytes, int64_t part) {
  size_t left = bytes - (size_t)part * PART;
  return left < PART ? left : PART;
}

static err cpu_copy(ops *o, void *to, const void *from, size_t bytes) {
  const int64_t parts = parts_of(bytes);
#pragma omp parallel for schedule(static) num_threads(o->threads) if (parts > 1)
  for (int64_t i = 0; i < parts; i++)
    memcpy((char *)to + i * PART, (const char *)from + i * PART, bytes_of_part(bytes, i));
  return NULL;
}

static err cpu_clear(ops *o, void *block, size_t bytes) {
  const int64_t parts = parts_of(bytes);
  /* often the first touch of new memory: its pages are placed near the threads that touch them */
#pragma omp parallel for schedule(static) num_threads(o->threads) if (parts > 1)
  for (int64_t i = 0; i < parts; i++) memset((char *)block + i * PART, 0, bytes_of_part(bytes, i));
  return NULL;
}

static err cpu_synchronize(ops *o) {
  (void)o;
  return NULL;
}

static bool cpu_is_idle(ops *o) {
  (void)o;
  return true;
}

static void cpu_destroy(ops *o) {
  cpu_state *state = cpu_of(o);
  if (state) {
    gemm_cache_destroy(state->gemms);
    free(state->scratch);
    free(state->narrow);
    free(state->widened);
    free(state);
  }
  free(o);
}

/* The kernels of a variant, an index of base/processor.h. */
static const cpu_kernels *kernels_of(int variant) {
#define DECLARE(suffix, name) extern const cpu_kernels cpu_##suffix##_kernels;
#define LIST(suffix, name) &cpu_##suffix##_kernels,
  PROCESSOR_VARIANTS(DECLARE)
  static const cpu_kernels *const all[] = {PROCESSOR_VARIANTS(LIST)};
#undef DECLARE
#undef LIST
  return all[variant];
}

static ops_table table_of(const cpu_kernels *kernels) {
  ops_table table = kernels->ops;
  table.name = "cpu";
  table.allocate = cpu_allocate;
  table.release = cpu_release;
  table.upload = cpu_copy;
  table.download = cpu_copy;
  table.clear = cpu_clear;
  table.synchronize = cpu_synchronize;
  table.upload_ahead = cpu_copy;
  table.join = cpu_synchronize;
  table.is_idle = cpu_is_idle;
  table.gemm = cpu_gemm;
  table.narrow = cpu_narrow;
  table.destroy = cpu_destroy;
  return table;
}

/* Starts the pool of threads, which persist and keep the setting, and returns their number. OpenMP
 * may start fewer than wanted (OMP_THREAD_LIMIT), and oneDNN would then leave out what it planned
 * for the others: its results would be wrong without an error. */
static int start_threads(int wanted) {
  static bool has_warned;
  int started = 1;
  omp_set_dynamic(0); /* which would start fewer whenever the machine is busy */
  omp_set_num_threads(wanted);
#pragma omp parallel
  {
    flush_subnormals();
#pragma omp single
    started = omp_get_num_threads();
  }
  if (started == wanted) return wanted;
  if (!has_warned)
    log_warning("OpenMP starts %d of %d threads (OMP_THREAD_LIMIT), so %d %s used", started, wanted,
                started, started == 1 ? "is" : "are");
  has_warned = true;
  omp_set_num_threads(started);
  return started;
}

static err create(const ops_request *request, ops **out) {
  if (request->compute != OPS_F32 && request->compute != OPS_BF16)
    return err_new(ERR_INTERNAL, "the CPU backend computes in fp32 or bf16");
  int variant = processor_variant();
  ops *o = mem_zeroed(1, sizeof *o);
  cpu_state *state = mem_zeroed(1, sizeof *state);
  if (!o || !state) {
    free(o);
    free(state);
    return mem_error(sizeof *o, "the CPU backend");
  }
  state->kernels = kernels_of(variant);
  state->table = table_of(state->kernels);
  *o = (ops){.call = &state->table,
             .compute = request->compute,
             .master = OPS_F32,
             /* 8 bits: one scale for the whole operand, as on a GPU */
             .chunk_bytes = request->is_narrow ? 0 : OPS_CPU_CHUNK_BYTES,
             .is_narrow = request->is_narrow,
             .threads = request->threads > 0 ? request->threads : omp_get_num_procs(),
             .state = state};
  snprintf(o->kernels, sizeof o->kernels, "%s", processor_name(variant));
  o->threads = start_threads(o->threads);
  err error = gemm_cache_create(&state->gemms);
  if (error)
    cpu_destroy(o);
  else
    *out = o;
  return error;
}

/* A product that fits the caches, about 30 ms of work, more while other work disturbs it: the
 * reference rate for mfu, and the measurement behind `precision: auto`. */
static err measure_gemm(const ops_request *request, double *flops_per_second) {
  enum { SIDE = 1024, TRIES = 8, LEAST_TRIES = 3, SMALL = 16 };
  const double enough_seconds = 0.03, most_seconds = 0.5;
  const ops_type compute = request->compute;
  const ops_request wide = {.compute = compute, .threads = request->threads};
  ops *o = NULL;
  void *block = NULL;
  size_t bytes = (size_t)SIDE * SIDE * ops_size_of(compute);
  err error = create(&wide, &o);
  if (error) return error;
  TRY(o->call->allocate(o, 3 * bytes, "measuring matrix products", &block));
  ops_buffer a = {block, compute};
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < 2 * (int64_t)SIDE * SIDE; i++) { /* not zeros, which can run faster */
    float value = (float)(i % 251) / 251.0f - 0.5f;
    if (compute == OPS_F32)
      cpu_f32(a)[i] = value;
    else
      ((uint16_t *)block)[i] = cpu_to_bf16(value);
  }
  ops_gemm g = {.m = SIDE,
                .n = SIDE,
                .k = SIDE,
                .a = a,
                .b = ops_at(a, (int64_t)SIDE * SIDE),
                .c = ops_at(a, 2 * (int64_t)SIDE * SIDE)};
  ops_gemm small = g; /* shows at once whether there are products of this type */
  small.m = small.n = small.k = SMALL;
  TRY(cpu_gemm(o, &small));
  if (cpu_of(o)->lacks_bf16)
    FAIL(ERR_UNSUPPORTED, "oneDNN has no bf16 matrix products for this processor");
  clock_shortest best = {0};
  double began = clock_seconds();
  for (int i = 0;; i++) {
    double start = clock_seconds();
    if (i >= TRIES || (i >= LEAST_TRIES && start - began > enough_seconds))
      if (clock_is_confirmed(&best) || start - began > most_seconds) break;
    TRY(cpu_gemm(o, &g));
    if (i > 0) clock_add(&best, clock_seconds() - start); /* the first call builds the kernel */
  }
  *flops_per_second = 2.0 * SIDE * SIDE * SIDE / best.seconds;
cleanup:
  free(block);
  cpu_destroy(o);
  return error;
}

static int libraries(ops_library list[OPS_PLUGIN_LIBRARIES]) {
  list[0].name = "onednn";
  gemm_library_version(list[0].version, sizeof list[0].version);
  list[1].name = "onednn_isa";
  gemm_library_isa(list[1].version, sizeof list[1].version);
  return 2;
}

/* Of other processors with products in bf16 some are faster in fp32 (docs/decisions.md). */
static bool has_fast_bf16(void) {
  return processor_has_tiles();
}

const ops_plugin cpu_plugin = {
    .version = OPS_PLUGIN_VERSION,
    .name = "cpu",
    .has_fast_bf16 = has_fast_bf16,
    .probe = processor_check,
    .create = create,
    .measure_gemm = measure_gemm,
    .libraries = libraries,
};

err ops_create_cpu(ops_type compute, int threads, ops **out) {
  const ops_request request = {.compute = compute, .threads = threads};
  err error = processor_check();
  return error ? error : create(&request, out);
}
