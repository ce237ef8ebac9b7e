/* Our WordPiece against Hugging Face's BERT uncased tokenizer: fixtures/wordpiece.txt.gz, made by
 * make_wordpiece_fixture.py. Not one number may differ. */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "config/settings.h"
#include "parity/tokens.h"
#include "support/gunzip.h"

#define FIXTURES FLIP_SOURCE_DIR "/tests/parity/fixtures/"
enum { LENGTH = 2048 };

static void every_string_gives_huggingfaces_tokens(void **state) {
  (void)state;
  tokenizer *words;
  size_t cases = 0, different = 0;
  char *data = gunzip_file(FIXTURES "wordpiece.txt.gz");
  assert_ok(tokenizer_open(TOKENIZER_WORDPIECE, SPECIAL_TOKENS_BOTH, FIXTURES "vocab.txt", &words));
  for (char *rest = data, *text; (text = strsep(&rest, "\n")) && *text; cases++)
    different += !tokens_are_same(words, text, LENGTH, strsep(&rest, "\n"));
  assert_int_equal(different, 0);
  assert_true(cases >= 10000);
  free(data);
  tokenizer_close(words);
}

static void a_long_caption_is_cut_and_keeps_its_end(void **state) {
  (void)state;
  tokenizer *words;
  int32_t ids[6], count;
  assert_ok(tokenizer_open(TOKENIZER_WORDPIECE, SPECIAL_TOKENS_BOTH, FIXTURES "vocab.txt", &words));
  assert_ok(tokenizer_encode(words, "a red bird and a blue bird and more", 6, ids, &count));
  assert_int_equal(count, 6);
  assert_string_equal(tokenizer_token(words, ids[0]), "[CLS]");
  assert_string_equal(tokenizer_token(words, ids[5]), "[SEP]");
  assert_ok(tokenizer_encode(words, "", 6, ids, &count));
  assert_int_equal(count, 2);
  for (int i = 2; i < 6; i++) assert_string_equal(tokenizer_token(words, ids[i]), "[PAD]");
  tokenizer_close(words);
}

/* FLIP's released code: the pieces between [CLS] and [SEP], and nothing around them; all of the
 * length is the caption's. */
static void without_special_tokens_a_text_is_its_bare_pieces(void **state) {
  (void)state;
  tokenizer *framed, *bare;
  int32_t with[34], without[32], count, bare_count;
  static const char *const texts[] = {"a red bird", "", "unbelievable typography",
                                      ("a red bird and a blue bird and a green bird and a red bird "
                                       "and a blue bird and a green bird "
                                       "and a red bird and a blue bird and a green bird")};
  assert_ok(
      tokenizer_open(TOKENIZER_WORDPIECE, SPECIAL_TOKENS_BOTH, FIXTURES "vocab.txt", &framed));
  assert_ok(tokenizer_open(TOKENIZER_WORDPIECE, SPECIAL_TOKENS_NONE, FIXTURES "vocab.txt", &bare));
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    assert_ok(tokenizer_encode(framed, texts[i], 34, with, &count));
    assert_ok(tokenizer_encode(bare, texts[i], 32, without, &bare_count));
    assert_int_equal(bare_count, count - 2);
    assert_memory_equal(without, with + 1, (size_t)bare_count * sizeof *without);
    for (int j = bare_count; j < 32; j++) assert_int_equal(without[j], 0);
  }
  assert_int_equal(bare_count, 32); /* the last one is cut, and no [SEP] takes a place */
  assert_ok(tokenizer_encode(bare, "red", 32, without, &bare_count));
  assert_string_equal(tokenizer_token(bare, without[0]), "red"); /* where the tower is read */
  tokenizer_close(framed);
  tokenizer_close(bare);
}

static void a_wrong_vocabulary_is_refused(void **state) {
  (void)state;
  tokenizer *words;
  assert_fails_with(
      tokenizer_open(TOKENIZER_WORDPIECE, SPECIAL_TOKENS_BOTH, FIXTURES "images.bin", &words),
      "is it a WordPiece vocabulary");
  assert_fails_with(
      tokenizer_open(TOKENIZER_WORDPIECE, SPECIAL_TOKENS_BOTH, "/nowhere/vocab.txt", &words),
      "/nowhere/vocab.txt");
}

static void training_is_deterministic_and_merges_the_frequent(void **state) {
  (void)state;
  const char *texts[] = {"low lower lowest", "newer newest wider", "low low low new", "Q once"};
  char *first, *second, path[] = "/tmp/flip-vocab-XXXXXX";
  size_t length;
  int64_t entries;
  close(mkstemp(path));
  assert_ok(tokenizer_train(texts, 4, 40, 2, path, &entries));
  assert_ok(fs_read(path, &first, &length));
  assert_ok(tokenizer_train(texts, 4, 40, 2, path, &entries));
  assert_ok(fs_read(path, &second, &length));
  assert_string_equal(first, second);
  for (const char *at = first; *at; at++) entries -= *at == '\n';
  assert_int_equal(entries, 0);
  assert_non_null(strstr(first, "\nlow\n"));
  assert_null(strstr(first, "\nq\n")); /* seen once only */
  assert_fails_with(tokenizer_train(texts, 4, 8, 2, path, &entries), "too small");
  unlink(path);
  free(first);
  free(second);
}

static void short_memory_while_words_are_counted_is_an_error(void **state) {
  (void)state;
  enum { WORDS = 60 };
  char text[WORDS * 8] = "", path[] = "/tmp/flip-vocab-XXXXXX";
  const char *texts[] = {text};
  int64_t entries;
  int failures = 0;
  for (int i = 0; i < WORDS; i++)
    snprintf(text + strlen(text), sizeof text - strlen(text), "w%d ", i);
  close(mkstemp(path));
  for (long n = 0;; n++, failures++) {
    mem_fail_once_after(n);
    err error = tokenizer_train(texts, 1, 100, 1, path, &entries);
    mem_fail_after(-1);
    if (!error) break;
    assert_int_equal(err_kind_of(error), ERR_MEMORY);
    err_free(error);
  }
  assert_true(failures > WORDS);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_string_gives_huggingfaces_tokens),
      cmocka_unit_test(a_long_caption_is_cut_and_keeps_its_end),
      cmocka_unit_test(without_special_tokens_a_text_is_its_bare_pieces),
      cmocka_unit_test(a_wrong_vocabulary_is_refused),
      cmocka_unit_test(short_memory_while_words_are_counted_is_an_error),
      cmocka_unit_test(training_is_deterministic_and_merges_the_frequent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
