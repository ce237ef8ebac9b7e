#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
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
 * token stay, words keep their order, padding comes last. */
static void count_kept(const text_mask *m, int32_t words, double share[LENGTH], double *kept) {
  int32_t ids[LENGTH], out[KEPT], places[KEPT], count = caption(words, ids), out_count;
  *kept = 0;
  for (int i = 0; i < LENGTH; i++) share[i] = 0;
  for (int64_t sample = 0; sample < DRAWS; sample++) {
    text_mask_draw(m, 7, sample, ids, count, out, places, &out_count);
    assert_true(out_count >= 2 && out_count <= KEPT);
    assert_int_equal(out[0], START);
    assert_int_equal(out[out_count - 1], END);
    for (int i = 1; i < out_count - 1; i++) {
      assert_true(out[i] >= FIRST_WORD && (i == 1 || out[i] > out[i - 1]));
      share[out[i] - FIRST_WORD] += 1.0 / DRAWS;
    }
    for (int i = out_count; i < KEPT; i++) assert_int_equal(out[i], 0);
    for (int i = 0; i < KEPT; i++) { /* where each was; kept padding keeps its place too */
      assert_true(places[i] < LENGTH && (i == 0 || places[i] > places[i - 1]));
      assert_int_equal(out[i], ids[places[i]]);
      assert_int_equal(i < out_count, places[i] < count);
    }
    *kept += (out_count - 2) / (double)DRAWS;
  }
}

/* Five deviations of a share of DRAWS: a wrong alarm in a million. */
static void assert_share(double share, double wanted) {
  double deviation = sqrt(wanted * (1 - wanted) / DRAWS);
  if (fabs(share - wanted) > 5 * deviation + 1e-12) fail_msg("%g, expected %g", share, wanted);
}

static void random_treats_padding_like_any_other_token(void **state) {
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
  int32_t ids[LENGTH], out[KEPT], places[KEPT], count = caption(10, ids), out_count;
  int starts[LENGTH] = {0};
  for (int64_t sample = 0; sample < DRAWS; sample++) {
    text_mask_draw(&m, 7, sample, ids, count, out, places, &out_count);
    assert_int_equal(out_count, KEPT);
    for (int i = 2; i < KEPT - 1; i++) assert_int_equal(out[i], out[i - 1] + 1);
    assert_int_equal(out[KEPT - 1], END);
    starts[out[1] - FIRST_WORD]++;
  }
  for (int i = 0; i <= 6; i++) assert_share(starts[i] / (double)DRAWS, 1.0 / 7);
}

static void captions_that_fit_stay_whole_except_with_random(void **state) {
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

static void a_mask_that_keeps_all_keeps_every_place(void **state) {
  (void)state;
  int32_t ids[LENGTH], out[LENGTH], places[LENGTH], out_count, count = caption(5, ids);
  text_mask m = mask_of(TEXT_MASK_RANDOM);
  m.kept = LENGTH;
  for (int i = 0; i < LENGTH; i++) places[i] = -1;
  text_mask_draw(&m, 7, 3, ids, count, out, places, &out_count);
  assert_int_equal(out_count, count);
  assert_memory_equal(out, ids, sizeof ids);
  for (int i = 0; i < LENGTH; i++) assert_int_equal(places[i], i);
}

static void prioritized_drops_padding_first_then_words_uniformly(void **state) {
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
  int32_t ids[LENGTH], out[3], places[3], count = caption(2, ids), out_count;
  int rare = 0;
  m.weights = weights;
  m.kept = 3;
  weights[FIRST_WORD] = 1 / sqrt(100.0);
  weights[FIRST_WORD + 1] = 1 / sqrt(4.0); /* 0.1 to 0.5 */
  for (int64_t sample = 0; sample < DRAWS; sample++) {
    text_mask_draw(&m, 7, sample, ids, count, out, places, &out_count);
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
static void without_special_tokens_every_position_is_drawn_uniformly(void **state) {
  (void)state;
  int32_t ids[LENGTH], out[KEPT], places[KEPT], out_count;
  double shares[LENGTH] = {0};
  text_mask m = {.mode = TEXT_MASK_RANDOM, .length = LENGTH, .kept = KEPT};
  for (int i = 0; i < LENGTH; i++) ids[i] = FIRST_WORD + i;
  for (int64_t sample = 0; sample < DRAWS; sample++) {
    text_mask_draw(&m, 7, sample, ids, LENGTH, out, places, &out_count);
    assert_int_equal(out_count, KEPT);
    for (int i = 0; i < KEPT; i++) shares[out[i] - FIRST_WORD] += 1.0 / DRAWS;
  }
  for (int i = 0; i < LENGTH; i++) assert_share(shares[i], (double)KEPT / LENGTH);
  m.mode = TEXT_MASK_BLOCK;
  for (int64_t sample = 0; sample < 100; sample++) {
    text_mask_draw(&m, 7, sample, ids, LENGTH, out, places, &out_count);
    for (int i = 1; i < KEPT; i++) assert_int_equal(out[i], out[i - 1] + 1);
  }
  m.mode = TEXT_MASK_PRIORITIZED; /* two words of a short caption, then padding; and none at all */
  for (int words = 0; words < 3; words += 2) {
    text_mask_draw(&m, 7, 1, ids, words, out, places, &out_count);
    assert_int_equal(out_count, words);
    for (int i = 0; i < KEPT; i++) assert_int_equal(out[i], i < words ? FIRST_WORD + i : 0);
  }
}

static void a_draw_depends_on_seed_and_sample_alone(void **state) {
  (void)state;
  text_mask m = mask_of(TEXT_MASK_RANDOM);
  int32_t ids[LENGTH], a[KEPT], b[KEPT], places[KEPT], count = caption(10, ids), n;
  int same_seed = 0, same_sample = 0;
  for (int64_t sample = 0; sample < 1000; sample++) {
    text_mask_draw(&m, 7, sample, ids, count, a, places, &n);
    text_mask_draw(&m, 7, sample, ids, count, b, places, &n);
    assert_memory_equal(a, b, sizeof a);
    text_mask_draw(&m, 8, sample, ids, count, b, places, &n);
    same_seed += memcmp(a, b, sizeof a) == 0;
    text_mask_draw(&m, 7, sample + 1, ids, count, b, places, &n);
    same_sample += memcmp(a, b, sizeof a) == 0;
  }
  assert_true(same_seed < 30 && same_sample < 30); /* by chance 1 in 210 */
}

/* ---- syntax ---- */

#define VOCABULARY                                                                                 \
  "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nred\ndog\nrun\n##ning\nbig\non\nzorb\n##ly\n.\n3\nbeach\n"
enum { A = 4, RED, DOG, RUN, NING, BIG, ON, ZORB, LY, DOT, THREE, BEACH };
static const char words_yml[] = "--- #YAML:1.0\n\".\": { pp: 48137 }\na: { det: 20, nnp: 1 }\n"
                                "red: { jj: 50, nn: 13 }\nRed: { nnp: 90 }\ndog: { nn: 10 }\n"
                                "big: { jj: 3 }\non: { in: 9, rp: 2 }\nrun: { vb: 4, nn: 4 }\n"
                                "Paris: { nnp: 7 } \nlay: { vbd: 5, jj: 1, vb: 3 }\n";

typedef struct {
  char folder[32], list[64], vocabulary[64];
  lexicon *classes;
  tokenizer *words;
} speech;

static void speech_open(speech *f) {
  snprintf(f->folder, sizeof f->folder, "/tmp/flip-speech-XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  snprintf(f->list, sizeof f->list, "%s/words.yml", f->folder);
  snprintf(f->vocabulary, sizeof f->vocabulary, "%s/vocab.txt", f->folder);
  assert_ok(fs_write_atomic(f->list, words_yml, strlen(words_yml)));
  assert_ok(fs_write_atomic(f->vocabulary, VOCABULARY, strlen(VOCABULARY)));
  assert_ok(lexicon_open(f->list, &f->classes));
  assert_ok(tokenizer_open(TOKENIZER_WORDPIECE, SPECIAL_TOKENS_BOTH, f->vocabulary, &f->words));
}

static void speech_close(speech *f) {
  unlink(f->list);
  unlink(f->vocabulary);
  rmdir(f->folder);
  lexicon_close(f->classes);
  tokenizer_close(f->words);
}

static void a_words_part_of_speech_is_its_most_frequent_one(void **state) {
  (void)state;
  static const struct {
    const char *word;
    part_of_speech part;
  } cases[] = {{"red", SPEECH_ADJECTIVE}, {"dog", SPEECH_NOUN},     {"run", SPEECH_NOUN},
               {"paris", SPEECH_NOUN},    {"lay", SPEECH_VERB},     {"a", SPEECH_OTHER},
               {".", SPEECH_OTHER},       {"zorb", SPEECH_NOUN},    {"zorbing", SPEECH_VERB},
               {"zorbed", SPEECH_VERB},   {"zorbly", SPEECH_OTHER}, {"3", SPEECH_OTHER},
               {"собака", SPEECH_NOUN},   {"–", SPEECH_OTHER},      {"", SPEECH_OTHER}};
  speech f;
  speech_open(&f);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if (lexicon_part(f.classes, cases[i].word) != cases[i].part)
      fail_msg("'%s' is %d", cases[i].word, lexicon_part(f.classes, cases[i].word));
  speech_close(&f);
}

/* ids (with or without special tokens, then padding) keep `kept` as expected, by hand. */
static void expect_kept(const speech *f, bool has_ends, const int32_t *tokens, int32_t words,
                        int64_t kept, const int32_t *expected, int32_t expected_count) {
  int32_t ids[LENGTH] = {0}, out[LENGTH], places[LENGTH], count, ends = has_ends;
  text_mask m = {.mode = TEXT_MASK_SYNTAX,
                 .length = LENGTH,
                 .kept = kept,
                 .ends = ends,
                 .words = f->words,
                 .classes = f->classes};
  if (has_ends) ids[0] = 2, ids[words + 1] = 3;
  memcpy(ids + ends, tokens, (size_t)words * sizeof *ids);
  for (int64_t sample = 0; sample < 3; sample++) { /* nothing is drawn */
    text_mask_draw(&m, 7, sample, ids, words + 2 * ends, out, places, &count);
    assert_int_equal(count, expected_count + 2 * ends);
    if (has_ends) assert_int_equal(out[0], 2);
    if (has_ends) assert_int_equal(out[count - 1], 3);
    for (int32_t i = 0; i < expected_count; i++) assert_int_equal(out[ends + i], expected[i]);
    for (int64_t i = count; i < kept; i++) assert_int_equal(out[i], 0);
  }
}

static void syntax_keeps_nouns_then_adjectives_then_verbs_in_their_order(void **state) {
  (void)state;
  /* a big red dog running on a beach . */
  static const int32_t caption[] = {A, BIG, RED, DOG, RUN, NING, ON, A, BEACH, DOT};
  speech f;
  speech_open(&f);
  for (int has_ends = 0; has_ends < 2; has_ends++) {
    int64_t ends = 2 * has_ends;
    expect_kept(&f, has_ends, caption, 10, 1 + ends, (int32_t[]){DOG}, 1);
    expect_kept(&f, has_ends, caption, 10, 2 + ends, (int32_t[]){DOG, BEACH}, 2);
    expect_kept(&f, has_ends, caption, 10, 3 + ends, (int32_t[]){BIG, DOG, BEACH}, 3);
    expect_kept(&f, has_ends, caption, 10, 5 + ends, (int32_t[]){BIG, RED, DOG, RUN, BEACH}, 5);
    expect_kept(&f, has_ends, caption, 10, 6 + ends, (int32_t[]){BIG, RED, DOG, RUN, NING, BEACH},
                6);
    expect_kept(&f, has_ends, caption, 10, 7 + ends,
                (int32_t[]){A, BIG, RED, DOG, RUN, NING, BEACH}, 7);
    expect_kept(&f, has_ends, caption, 4, 7 + ends, (int32_t[]){A, BIG, RED, DOG}, 4);
    expect_kept(&f, has_ends, caption, 0, 2 + ends, NULL, 0);
  }
  /* zorbly is an adverb with all its pieces, zorb a noun */
  expect_kept(&f, true, (int32_t[]){ZORB, LY, THREE, RED, ZORB}, 5, 4, (int32_t[]){RED, ZORB}, 2);
  speech_close(&f);
}

/* Byte pairs spell bytes: the words are put together again. */
static void the_words_of_byte_pairs_are_read_back(void **state) {
  (void)state;
  static const char *const expected[] = {"a", "dog", "'s", "café", "–", "3", "собака"};
  tokenizer *t;
  int32_t ids[77], count;
  strbuf word = {0};
  assert_ok(tokenizer_open(TOKENIZER_BPE, SPECIAL_TOKENS_BOTH,
                           FLIP_SOURCE_DIR "/tests/parity/fixtures/merges.txt.gz", &t));
  assert_ok(tokenizer_encode(t, "A dog's café – 3 собака", 77, ids, &count));
  int32_t at = 1;
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    at += tokenizer_word(t, ids + at, count - 1 - at, &word);
    assert_string_equal(strbuf_string(&word), expected[i]);
  }
  assert_int_equal(at, count - 1);
  strbuf_free(&word);
  tokenizer_close(t);
}

static void refuse_list(const speech *f, const char *content, const char *message) {
  lexicon *l;
  assert_ok(fs_write_atomic(f->list, content, strlen(content)));
  assert_fails_with(lexicon_open(f->list, &l), message);
}

static void what_is_no_lexicon_is_refused_by_line(void **state) {
  (void)state;
  speech f;
  lexicon *l;
  speech_open(&f);
  refuse_list(&f, "--- #YAML:1.0\ndog: { nn: 10 }\ndog nn 10\n", "words.yml:3: not 'WORD: {");
  refuse_list(&f, "dog: { nn: ten }\n", ":1: not 'WORD: {");
  refuse_list(&f, "dog: { nn: 10\n", ":1: not 'WORD: {");
  refuse_list(&f, "---\n", "has no words");
  assert_fails_with(lexicon_open("/nowhere/words.yml", &l),
                    "text_mask_lexicon: /nowhere/words.yml: no such file: install "
                    "Debian's liblingua-en-tagger-perl");
  speech_close(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_treats_padding_like_any_other_token),
      cmocka_unit_test(block_keeps_neighbours_from_a_uniform_start),
      cmocka_unit_test(captions_that_fit_stay_whole_except_with_random),
      cmocka_unit_test(a_mask_that_keeps_all_keeps_every_place),
      cmocka_unit_test(prioritized_drops_padding_first_then_words_uniformly),
      cmocka_unit_test(frequency_keeps_rare_words_more_often),
      cmocka_unit_test(without_special_tokens_every_position_is_drawn_uniformly),
      cmocka_unit_test(a_draw_depends_on_seed_and_sample_alone),
      cmocka_unit_test(a_words_part_of_speech_is_its_most_frequent_one),
      cmocka_unit_test(syntax_keeps_nouns_then_adjectives_then_verbs_in_their_order),
      cmocka_unit_test(the_words_of_byte_pairs_are_read_back),
      cmocka_unit_test(what_is_no_lexicon_is_refused_by_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
