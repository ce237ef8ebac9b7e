#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "config/settings.h"
#include "read/text_mask.h"

enum { LENGTH = 12, KEPT = 6, DRAWS = 20000, START = 1, END = 2, FIRST_WORD = 10 };

/* A caption of `words` words, numbered from FIRST_WORD on. Returns its token count. */
static int32_t caption(int32_t words, int32_t ids[LENGTH]) {
  memset(ids, 0, LENGTH * sizeof *ids);
  ids[0] = START;
  for (int32_t i = 0; i < words; i++) ids[1 + i] = FIRST_WORD + i;
  ids[words + 1] = END;
  return words + 2;
}

static text_mask mask_of(int mode) {
  return (text_mask){.mode = mode, .length = LENGTH, .kept = KEPT, .ends = 1};
}

/* How often each word is kept over many samples; checks what holds in every mode: first and last
 * token stay, words keep their order, padding is behind. */
static void count_kept(const text_mask *m, int32_t words, double share[LENGTH], double *kept) {
  int32_t ids[LENGTH], out[KEPT], count = caption(words, ids), out_count;
  *kept = 0;
  for (int i = 0; i < LENGTH; i++) share[i] = 0;
  for (int64_t sample = 0; sample < DRAWS; sample++) {
    text_mask_draw(m, 7, sample, ids, count, out, &out_count);
    assert_true(out_count >= 2 && out_count <= KEPT);
    assert_int_equal(out[0], START);
    assert_int_equal(out[out_count - 1], END);
    for (int i = 1; i < out_count - 1; i++) {
      assert_true(out[i] >= FIRST_WORD && (i == 1 || out[i] > out[i - 1]));
      share[out[i] - FIRST_WORD] += 1.0 / DRAWS;
    }
    for (int i = out_count; i < KEPT; i++) assert_int_equal(out[i], 0);
    *kept += (out_count - 2) / (double)DRAWS;
  }
}

/* Five deviations of a share of DRAWS: a wrong alarm in a million. */
static void assert_share(double share, double wanted) {
  double deviation = sqrt(wanted * (1 - wanted) / DRAWS);
  if (fabs(share - wanted) > 5 * deviation + 1e-12) fail_msg("%g, expected %g", share, wanted);
}

static void random_counts_padding_as_a_place_like_any_other(void **state) {
  (void)state;
  text_mask m = mask_of(TEXT_MASK_RANDOM);
  double share[LENGTH], kept;
  count_kept(&m, 10, share, &kept); /* no padding: 4 of 10 words stay */
  for (int i = 0; i < 10; i++) assert_share(share[i], 0.4);
  count_kept(&m, 3, share, &kept); /* 3 words and 7 places of padding: each stays as often */
  for (int i = 0; i < 3; i++) assert_share(share[i], 0.4);
  assert_true(fabs(kept - 1.2) < 0.05); /* 3 · 0.4; deviation below 0.01 */
}

static void block_keeps_neighbours_from_a_uniform_start(void **state) {
  (void)state;
  text_mask m = mask_of(TEXT_MASK_BLOCK);
  int32_t ids[LENGTH], out[KEPT], count = caption(10, ids), out_count;
  int starts[LENGTH] = {0};
  for (int64_t sample = 0; sample < DRAWS; sample++) {
    text_mask_draw(&m, 7, sample, ids, count, out, &out_count);
    assert_int_equal(out_count, KEPT);
    for (int i = 2; i < KEPT - 1; i++) assert_int_equal(out[i], out[i - 1] + 1);
    assert_int_equal(out[KEPT - 1], END);
    starts[out[1] - FIRST_WORD]++;
  }
  for (int i = 0; i <= 6; i++) assert_share(starts[i] / (double)DRAWS, 1.0 / 7);
}

static void what_fits_stays_whole_but_under_random(void **state) {
  (void)state;
  static const int modes[] = {TEXT_MASK_BLOCK, TEXT_MASK_PRIORITIZED, TEXT_MASK_FREQUENCY};
  double weights[FIRST_WORD + LENGTH], share[LENGTH], kept;
  for (int i = 0; i < FIRST_WORD + LENGTH; i++) weights[i] = 1.0 / (1 + i);
  for (size_t i = 0; i < 3; i++)
    for (int words = 0; words <= KEPT - 2; words++) {
      text_mask m = mask_of(modes[i]);
      m.weights = weights;
      count_kept(&m, words, share, &kept);
      assert_true(fabs(kept - words) < 1e-9);
    }
}

static void prioritized_drops_padding_first_then_words_alike(void **state) {
  (void)state;
  text_mask m = mask_of(TEXT_MASK_PRIORITIZED);
  double share[LENGTH], kept;
  count_kept(&m, 8, share, &kept);
  for (int i = 0; i < 8; i++) assert_share(share[i], 0.5);
  assert_true(fabs(kept - 4) < 1e-9);
}

/* One word of two is kept: the shares are the weights' own. */
static void frequency_keeps_rare_words_more_often(void **state) {
  (void)state;
  double weights[FIRST_WORD + LENGTH] = {0}, share[LENGTH], kept;
  text_mask m = mask_of(TEXT_MASK_FREQUENCY);
  int32_t ids[LENGTH], out[3], count = caption(2, ids), out_count;
  int rare = 0;
  m.weights = weights;
  m.kept = 3;
  weights[FIRST_WORD] = 1 / sqrt(100.0);
  weights[FIRST_WORD + 1] = 1 / sqrt(4.0); /* 0.1 to 0.5 */
  for (int64_t sample = 0; sample < DRAWS; sample++) {
    text_mask_draw(&m, 7, sample, ids, count, out, &out_count);
    assert_int_equal(out_count, 3);
    rare += out[1] == FIRST_WORD + 1;
  }
  assert_share(rare / (double)DRAWS, 5.0 / 6);
  m.kept = KEPT; /* and of many, rarer means likelier throughout */
  for (int i = 0; i < 10; i++) weights[FIRST_WORD + i] = 1 / sqrt(1.0 + 50 * i);
  count_kept(&m, 10, share, &kept);
  for (int i = 1; i < 10; i++) assert_true(share[i] < share[i - 1]);
}

/* Bare pieces (text.special_tokens: none): no place is spared, the first neither. */
static void without_special_tokens_every_place_is_drawn_alike(void **state) {
  (void)state;
  int32_t ids[LENGTH], out[KEPT], out_count;
  double shares[LENGTH] = {0};
  text_mask m = {.mode = TEXT_MASK_RANDOM, .length = LENGTH, .kept = KEPT};
  for (int i = 0; i < LENGTH; i++) ids[i] = FIRST_WORD + i;
  for (int64_t sample = 0; sample < DRAWS; sample++) {
    text_mask_draw(&m, 7, sample, ids, LENGTH, out, &out_count);
    assert_int_equal(out_count, KEPT);
    for (int i = 0; i < KEPT; i++) shares[out[i] - FIRST_WORD] += 1.0 / DRAWS;
  }
  for (int i = 0; i < LENGTH; i++) assert_share(shares[i], (double)KEPT / LENGTH);
  m.mode = TEXT_MASK_BLOCK;
  for (int64_t sample = 0; sample < 100; sample++) {
    text_mask_draw(&m, 7, sample, ids, LENGTH, out, &out_count);
    for (int i = 1; i < KEPT; i++) assert_int_equal(out[i], out[i - 1] + 1);
  }
  m.mode = TEXT_MASK_PRIORITIZED; /* two words of a short caption, then padding; and none at all */
  for (int words = 0; words < 3; words += 2) {
    text_mask_draw(&m, 7, 1, ids, words, out, &out_count);
    assert_int_equal(out_count, words);
    for (int i = 0; i < KEPT; i++) assert_int_equal(out[i], i < words ? FIRST_WORD + i : 0);
  }
}

static void a_draw_depends_on_seed_and_sample_alone(void **state) {
  (void)state;
  text_mask m = mask_of(TEXT_MASK_RANDOM);
  int32_t ids[LENGTH], a[KEPT], b[KEPT], count = caption(10, ids), n;
  int same_seed = 0, same_sample = 0;
  for (int64_t sample = 0; sample < 1000; sample++) {
    text_mask_draw(&m, 7, sample, ids, count, a, &n);
    text_mask_draw(&m, 7, sample, ids, count, b, &n);
    assert_memory_equal(a, b, sizeof a);
    text_mask_draw(&m, 8, sample, ids, count, b, &n);
    same_seed += memcmp(a, b, sizeof a) == 0;
    text_mask_draw(&m, 7, sample + 1, ids, count, b, &n);
    same_sample += memcmp(a, b, sizeof a) == 0;
  }
  assert_true(same_seed < 30 && same_sample < 30); /* by chance 1 in 210 */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_counts_padding_as_a_place_like_any_other),
      cmocka_unit_test(block_keeps_neighbours_from_a_uniform_start),
      cmocka_unit_test(what_fits_stays_whole_but_under_random),
      cmocka_unit_test(prioritized_drops_padding_first_then_words_alike),
      cmocka_unit_test(frequency_keeps_rare_words_more_often),
      cmocka_unit_test(without_special_tokens_every_place_is_drawn_alike),
      cmocka_unit_test(a_draw_depends_on_seed_and_sample_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
