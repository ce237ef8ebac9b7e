/* Which algorithms the backend tries that cuBLASLt's heuristics did not name, on the imitation of
 * the library: what its model of a GPU proposes, and what the library's check leaves of that. */
#include "support/test.h"

#include <stdlib.h>

#include "cuda/gemm.h"
#include "imitation/cublaslt.h"

enum { MULTIPROCESSORS = 132, WORKSPACE = 64 << 20 };

static cublasLtHandle_t library;

/* A weight gradient of bf16 operands: [out, in] from k rows. */
static gemm_key weight_gradient(int64_t out, int64_t in, int64_t k) {
  return (gemm_key){.kind = CHOICE_GEMM,
                    .m = out,
                    .n = in,
                    .k = k,
                    .type_a = CUDA_R_16BF,
                    .type_b = CUDA_R_16BF,
                    .type_c = CUDA_R_32F,
                    .transpose_a = true,
                    .alignment = GEMM_ALIGNMENT};
}

/* Measured on an H100: the step of ViT-L/16 at mask 75 %, batch 256 (docs/performance.md). */
static void estimates_are_near_the_times_of_an_h100(void **state) {
  (void)state;
  const struct {
    int64_t m, n, k;
    int rows, columns;
    double us;
  } measured[] = {{4096, 1024, 12800, 128, 256, 142.6}, {1024, 4096, 12800, 256, 128, 138.7},
                  {3072, 1024, 12800, 256, 96, 109.0},  {1024, 1024, 12800, 64, 128, 40.1},
                  {3072, 768, 8192, 128, 160, 60.4},    {2304, 768, 8192, 256, 64, 48.2}};
  for (size_t i = 0; i < sizeof measured / sizeof *measured; i++) {
    const gemm_key key = weight_gradient(measured[i].m, measured[i].n, measured[i].k);
    double us =
        1e6 * gemm_estimate(&key, measured[i].rows, measured[i].columns, 1, MULTIPROCESSORS);
    if (us < 0.9 * measured[i].us || us > 1.1 * measured[i].us)
      fail_msg("%ld x %ld x %ld: %.1f us estimated, %.1f measured", (long)key.m, (long)key.n,
               (long)key.k, us, measured[i].us);
  }
}

/* The patches of ViT-H/14 are rows of 588 values, aligned to 8 bytes: no more is promised to the
 * library, and no less, which would leave it only its slowest algorithms. */
static void the_alignment_of_every_row_and_address_is_stated(void **state) {
  (void)state;
  cuda_state device = {0};
  ops o = {.state = &device};
  _Alignas(16) static char memory[64];
  const struct {
    int64_t k;
    int offset, alignment;
  } cases[] = {{592, 0, 16}, {588, 0, 8}, {590, 0, 4}, {589, 0, 2}, {592, 8, 8}, {592, 2, 2}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    ops_gemm g = {.m = 64, .n = 32, .k = cases[i].k};
    g.a = (ops_buffer){.data = memory + cases[i].offset, .type = OPS_BF16};
    g.b = g.c = (ops_buffer){.data = memory, .type = OPS_BF16};
    const gemm_product p = {.g = g, .type_a = CUDA_R_16BF, .type_b = CUDA_R_16BF};
    assert_int_equal(gemm_key_of(&o, &p).alignment, cases[i].alignment);
  }
}

/* The variants of the heuristics' first algorithm, read as the imitation has them. */
static int list(const gemm_key *key, int form, gemm_variation which, size_t workspace,
                blas_algorithm found[GEMM_MOST_VARIANTS]) {
  gemm_plan plan;
  gemm_algorithms variants;
  cublasLtMatmulAlgo_t base;
  const blas_algorithm named = blas_named_algorithm(BLAS_PLAIN, 16);
  memcpy(&base, &named, sizeof base);
  assert_null(gemm_describe(key, form, &plan));
  const gemm_variants v = {library, &plan, workspace, MULTIPROCESSORS};
  gemm_list_variants(&v, which, &base, &variants);
  for (int i = 0; i < variants.count; i++)
    assert_true(blas_read_algorithm(&variants.item[i], &found[i]));
  gemm_free_plan(&plan);
  return variants.count;
}

/* 3072 x 768: 144 tiles of 128 x 128 are two waves on 132 multiprocessors, 120 of 128 x 160 one. */
static void tiles_that_fill_the_multiprocessors_come_first(void **state) {
  (void)state;
  blas_algorithm found[GEMM_MOST_VARIANTS];
  const gemm_key key = weight_gradient(3072, 768, 8192);
  int count = list(&key, 0, GEMM_VARY_TILE, WORKSPACE, found);
  assert_int_equal(count, 6); /* not the heuristics' own, nor the one for small products */
  assert_int_equal(found[0].tile, CUBLASLT_MATMUL_TILE_128x160);
  for (int i = 0; i < count; i++) /* refused without a cluster, so that one is added */
    assert_int_equal(found[i].cluster, found[i].tile == CUBLASLT_MATMUL_TILE_256x128
                                           ? CUBLASLT_CLUSTER_SHAPE_2x1x1
                                           : CUBLASLT_CLUSTER_SHAPE_1x1x1);
}

static void k_is_split_where_tiles_are_few(void **state) {
  (void)state;
  blas_algorithm found[GEMM_MOST_VARIANTS];
  const gemm_key few = weight_gradient(768, 768, 12800); /* 36 tiles of 128 x 128 */
  int count = list(&few, 0, GEMM_VARY_SPLIT, WORKSPACE, found);
  assert_int_equal(count, 7); /* 2 to 8 parts: each takes less than the whole */
  for (int i = 0; i < count; i++) {
    assert_int_equal(found[i].scheme, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
    assert_int_equal(blas_way_of(&found[i]), BLAS_HALVES);
  }
  assert_int_equal(list(&few, 0, GEMM_VARY_SPLIT, 768 * 768 * 4 * 3, found), 2); /* 2 and 3 fit */
  const gemm_key many = weight_gradient(4096, 1024, 12800); /* 256: two waves, evenly */
  assert_int_equal(list(&many, 0, GEMM_VARY_SPLIT, WORKSPACE, found), 0);
}

static bool is_sound(const gemm_key *key, uint32_t parts, uint32_t scheme) {
  blas_algorithm a = blas_named_algorithm(BLAS_HALVES, GEMM_ALIGNMENT);
  cublasLtMatmulAlgo_t bytes;
  a.parts = parts;
  a.scheme = scheme;
  memcpy(&bytes, &a, sizeof bytes);
  return gemm_is_sound(key, &bytes);
}

/* k = 64 q + r: the r last terms are lost where q is a multiple of the parts, which are more than
 * r. */
static void what_loses_terms_or_digits_is_not_sound(void **state) {
  (void)state;
  const uint32_t wide = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  const struct {
    int64_t k;
    uint32_t parts;
    bool is_sound;
  } cases[] = {{11528, 9, false},      {11528, 8, true},      {11528, 10, false},
               {11520, 9, true},       {11529, 9, true},      {64 * 7 + 1, 2, true},
               {64 * 8 + 1, 2, false}, {64 * 8 + 2, 2, true}, {64 * 8 + 1, 1, true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gemm_key key = weight_gradient(16, 8, cases[i].k);
    assert_int_equal(is_sound(&key, cases[i].parts, wide), cases[i].is_sound);
    key.type_a = key.type_b = CUDA_R_32F;
    assert_true(is_sound(&key, cases[i].parts, wide));
  }
  gemm_key key = weight_gradient(16, 8, 640);
  assert_true(is_sound(&key, 2, CUBLASLT_REDUCTION_SCHEME_INPLACE)); /* in fp32 */
  key.type_c = CUDA_R_16BF;
  assert_true(is_sound(&key, 2, wide));
  assert_false(is_sound(&key, 2, CUBLASLT_REDUCTION_SCHEME_INPLACE));
  assert_false(is_sound(&key, 2, CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE));
}

static void splits_that_lose_terms_are_not_tried(void **state) {
  (void)state;
  blas_algorithm found[GEMM_MOST_VARIANTS];
  const gemm_key key = weight_gradient(768, 768, 64 * 4 * 50 + 1);
  int count = list(&key, 0, GEMM_VARY_SPLIT, WORKSPACE, found);
  assert_true(count > 0);
  for (int i = 0; i < count; i++) assert_true(200 % found[i].parts != 0);
}

static void every_other_cluster_and_option_is_tried(void **state) {
  (void)state;
  blas_algorithm found[GEMM_MOST_VARIANTS];
  const gemm_key key = weight_gradient(3072, 768, 8192);
  assert_int_equal(list(&key, 0, GEMM_VARY_CLUSTER, WORKSPACE, found), 7);
  assert_int_equal(list(&key, 0, GEMM_VARY_OPTION, WORKSPACE, found),
                   6); /* 1 to 5, and swizzling */
  assert_int_equal(found[5].swizzling, 1);
}

/* The library's check sees layouts, not addresses: it would accept what needs more alignment. */
static void nothing_is_tried_where_addresses_are_less_aligned(void **state) {
  (void)state;
  blas_algorithm found[GEMM_MOST_VARIANTS];
  gemm_key key = weight_gradient(768, 768, 12800);
  for (int which = 0; which < GEMM_VARIATIONS; which++) {
    key.alignment = GEMM_ALIGNMENT;
    assert_true(list(&key, 0, (gemm_variation)which, WORKSPACE, found) > 0);
    key.alignment = GEMM_ALIGNMENT / 2;
    assert_int_equal(list(&key, 0, (gemm_variation)which, WORKSPACE, found), 0);
  }
}

static int set_up(void **state) {
  (void)state;
  return (int)cublasLtCreate(&library);
}

static int tear_down(void **state) {
  (void)state;
  assert_int_equal(imitation_misuses(), 0);
  return (int)cublasLtDestroy(library);
}

int main(void) {
  unsetenv("FLIP_IMITATION_BLAS");
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(estimates_are_near_the_times_of_an_h100),
      cmocka_unit_test(the_alignment_of_every_row_and_address_is_stated),
      cmocka_unit_test(tiles_that_fill_the_multiprocessors_come_first),
      cmocka_unit_test(k_is_split_where_tiles_are_few),
      cmocka_unit_test(what_loses_terms_or_digits_is_not_sound),
      cmocka_unit_test(splits_that_lose_terms_are_not_tried),
      cmocka_unit_test(every_other_cluster_and_option_is_tried),
      cmocka_unit_test(nothing_is_tried_where_addresses_are_less_aligned),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
