/* Every op of a backend against the double-precision reference, on sizes that are multiples of
 * nothing. Run as `test_ops fp32|bf16|simt_fp32|simt_bf16|cuda_fp32|cuda_bf16 [SKIP]`, where the
 * cases whose names match SKIP ('attention*') are left out. */
#include "support/test.h"

#include <stdlib.h>

#include "base/processor.h"
#include "ops/cases.h"
#ifdef FLIP_SIMT
#include "simt/backend.h"
#include "simt/simt.h"
#endif
#include "support/open_cpu.h"
#include "support/open_cuda.h"
#include "support/ops_reference.h"

/* With the same random values whatever cases come before: the bounds are not of all values. */
#define FROM_THE_START(test) cmocka_unit_test_setup(test, pair_from_the_start)

/* What to test by name: fp32, bf16 on the CPU; simt_… are the CUDA kernels under the shim, cuda_…
 * the device. */
static const struct {
  const char *name;
  bool is_bf16, is_simt, is_cuda;
} kinds[] = {{"fp32", false, false, false},     {"bf16", true, false, false},
             {"simt_fp32", false, true, false}, {"simt_bf16", true, true, false},
             {"cuda_fp32", false, false, true}, {"cuda_bf16", true, false, true}};
enum { KINDS = sizeof kinds / sizeof kinds[0], SKIPPED = 77 /* as in CMakeLists.txt */ };

static err open_backend(int kind, ops **out) {
  ops_type compute = kinds[kind].is_bf16 ? OPS_BF16 : OPS_F32;
  if (kinds[kind].is_cuda)
    return open_cuda(kinds[kind].is_bf16 ? PRECISION_BF16 : PRECISION_FP32, out);
  if (!kinds[kind].is_simt) return open_on_cpu((ops_request){.compute = compute}, out);
#ifdef FLIP_SIMT
  return ops_create_simt(compute, out);
#else
  return err_new(ERR_UNSUPPORTED, "the shim is not part of this build");
#endif
}

/* Under the shim everything runs again in other orders of threads and blocks: besides agreeing with
 * the reference, the results must be bit-identical. */
static int run_in_orders(const struct CMUnitTest *tests, size_t count, bool is_simt) {
  int failed = _cmocka_run_group_tests("ops", tests, count, NULL, NULL);
#ifdef FLIP_SIMT
  static const simt_order orders[] = {SIMT_DESCENDING, SIMT_RANDOM};
  /* a sanitizer looks at addresses, which are the same in every order */
  size_t count_of_orders = is_simt && simt_has_recorder() ? 2 : 0;
  uint64_t digest = pair_restart();
  for (size_t i = 0; i < count_of_orders && !failed; i++) {
    simt_schedule(orders[i], 1);
    failed = _cmocka_run_group_tests("ops in another order", tests, count, NULL, NULL);
    if (!failed && pair_restart() != digest) {
      print_error("the results depend on the order of threads: a race\n");
      failed = 1;
    }
  }
#else
  (void)is_simt;
#endif
  return failed;
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      FROM_THE_START(products_agree_in_every_transposition),
      FROM_THE_START(no_term_of_a_product_is_left_out),
      FROM_THE_START(a_weight_gradient_adds_to_what_is_there),
      FROM_THE_START(activations_and_their_slopes_agree),
      FROM_THE_START(layer_norm_and_its_gradient_agree),
      FROM_THE_START(attention_agrees_for_odd_lengths_and_masks),
      FROM_THE_START(attention_of_short_sequences_agrees),
      FROM_THE_START(attention_to_nothing_is_nothing),
      FROM_THE_START(what_is_attended_to_agrees),
      FROM_THE_START(patches_agree),
      FROM_THE_START(predicted_pixels_and_their_gradient_agree),
      FROM_THE_START(tokens_and_positions_agree),
      FROM_THE_START(word_embedding_and_its_gradient_agree),
      FROM_THE_START(pooling_and_its_gradient_agree),
      FROM_THE_START(normalisation_and_its_gradient_agree),
      FROM_THE_START(the_contrastive_tiles_agree),
      FROM_THE_START(dropout_drops_the_same_elements),
      FROM_THE_START(updates_agree_with_and_without_clipping),
      FROM_THE_START(moments_in_bf16_are_rounded_at_random_without_bias),
      FROM_THE_START(a_clipped_logit_scale_gets_no_gradient),
      FROM_THE_START(casts_and_fills_agree),
      FROM_THE_START(moving_averages_agree),
      FROM_THE_START(shapes_drawn_at_random_agree),
      FROM_THE_START(not_a_number_stays_one),
      FROM_THE_START(activations_of_round_sizes_agree),
      FROM_THE_START(products_of_whole_tiles_agree),
      FROM_THE_START(activations_keep_their_digits_where_they_are_small),
  };
  int kind = 0;
  while (argc > 1 && kind < KINDS && strcmp(argv[1], kinds[kind].name) != 0) kind++;
  if (kind == KINDS) return 2;
  if (argc > 2) cmocka_set_skip_filter(argv[2]);
  err error = ops_create_reference(&pair_reference);
  if (!error) error = open_backend(kind, &pair_tested);
  if (error) {
    bool is_missing = (kinds[kind].is_cuda || getenv(PROCESSOR_VARIABLE)) &&
                      err_kind_of(error) == ERR_UNSUPPORTED;
    print_message("%s: %s\n", is_missing ? "skipped" : "failed", err_message(error));
    return is_missing ? SKIPPED : 1;
  }
  int failed = run_in_orders(tests, sizeof tests / sizeof tests[0], kinds[kind].is_simt);
  ops_destroy(pair_reference);
  ops_destroy(pair_tested);
  return failed;
}
