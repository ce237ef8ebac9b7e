/* The cases of test_ops: every op of a backend against the double-precision reference. The sizes
 * are multiples of nothing, and of eight where a backend reads eight elements at once. */
#ifndef FLIP_TEST_OPS_CASES_H
#define FLIP_TEST_OPS_CASES_H

#include "ops/pair.h"

/* Runs one op on both backends with each buffer field taken from its pair. */
#define RUN(op, call_reference, call_tested)                                                       \
  do {                                                                                             \
    assert_ok(pair_reference->call->op(pair_reference, call_reference));                           \
    assert_ok(pair_tested->call->op(pair_tested, call_tested));                                    \
  } while (0)

void products_agree_in_every_transposition(void **state);
void no_term_of_a_product_is_left_out(void **state);
void activations_keep_their_digits_where_they_are_small(void **state);
void products_of_whole_tiles_agree(void **state);
void a_weight_gradient_adds_to_what_is_there(void **state);
void activations_and_their_slopes_agree(void **state);
void activations_of_round_sizes_agree(void **state);
void layer_norm_and_its_gradient_agree(void **state);
void attention_agrees_for_odd_lengths_and_masks(void **state);
void attention_of_short_sequences_agrees(void **state);
void attention_to_nothing_is_nothing(void **state);
void dropout_drops_the_same_elements(void **state);
void shapes_drawn_at_random_agree(void **state);
void not_a_number_stays_one(void **state);
void what_is_attended_to_agrees(void **state);
void patches_agree(void **state);
void predicted_pixels_and_their_gradient_agree(void **state);
void tokens_and_positions_agree(void **state);
void word_embedding_and_its_gradient_agree(void **state);
void pooling_and_its_gradient_agree(void **state);
void normalisation_and_its_gradient_agree(void **state);
void the_contrastive_tiles_agree(void **state);
void updates_agree_with_and_without_clipping(void **state);
void moments_in_bf16_are_rounded_at_random_without_bias(void **state);
void a_clipped_logit_scale_gets_no_gradient(void **state);
void casts_and_fills_agree(void **state);
void moving_averages_agree(void **state);

#endif
