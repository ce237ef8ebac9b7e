/* Our byte-pair encoding against open_clip's SimpleTokenizer and Hugging Face's CLIPTokenizer:
 * fixtures/bpe.txt.gz, made by make_bpe_fixture.py. Not one number may differ. */
#include "support/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "config/settings.h"
#include "parity/tokens.h"
#include "support/gunzip.h"

#define FIXTURES FLIP_SOURCE_DIR "/tests/parity/fixtures/"
#define MERGES FIXTURES "merges.txt.gz"
enum { CONTEXT = 77 };

static void every_string_gives_open_clips_and_huggingfaces_tokens(void **state) {
  (void)state;
  tokenizer *clip, *huggingface;
  size_t cases = 0, different = 0;
  char *data = gunzip_file(FIXTURES "bpe.txt.gz");
  assert_ok(tokenizer_open(TOKENIZER_BPE, SPECIAL_TOKENS_BOTH, MERGES, &clip));
  assert_ok(tokenizer_open(TOKENIZER_BPE_HUGGINGFACE, SPECIAL_TOKENS_BOTH, MERGES, &huggingface));
  for (char *rest = data, *text; (text = strsep(&rest, "\n")) && *text; cases++) {
    char *as_clip = strsep(&rest, "\n"), *as_huggingface = strsep(&rest, "\n");
    different += !tokens_are_same(clip, text, CONTEXT, as_clip);
    different += !tokens_are_same(huggingface, text, CONTEXT, as_huggingface);
  }
  assert_int_equal(different, 0);
  assert_true(cases >= 10000);
  free(data);
  tokenizer_close(clip);
  tokenizer_close(huggingface);
}

static void a_long_caption_is_cut_and_keeps_end_of_text(void **state) {
  (void)state;
  tokenizer *t;
  int32_t ids[8], count;
  assert_ok(tokenizer_open(TOKENIZER_BPE, SPECIAL_TOKENS_BOTH, MERGES, &t));
  assert_ok(tokenizer_encode(t, "a red bird and a blue bird and a green bird", 8, ids, &count));
  assert_int_equal(count, 8);
  assert_string_equal(tokenizer_token(t, ids[0]), "<start_of_text>");
  assert_string_equal(tokenizer_token(t, ids[1]), "a</w>");
  assert_string_equal(tokenizer_token(t, ids[7]), "<end_of_text>");
  assert_ok(tokenizer_encode(t, " ", 8, ids, &count));
  assert_int_equal(count, 2);
  for (int i = 2; i < 8; i++) assert_int_equal(ids[i], 0);
  tokenizer_close(t);
}

/* The regular expression of CLIP's tokenizer ignores letter case, and so takes U+0345, whose
 * capital is a letter, neither for one nor for anything else. Hugging Face's does. */
static void an_iota_below_separates_words_as_in_open_clip(void **state) {
  (void)state;
  static const char below[] = "\u0325\u0301\u0345!", apart[] = "\u0325\u0301 !";
  int32_t a[CONTEXT], b[CONTEXT], count;
  for (int kind = 0; kind < 2; kind++) {
    tokenizer *t;
    assert_ok(tokenizer_open(kind ? TOKENIZER_BPE_HUGGINGFACE : TOKENIZER_BPE, SPECIAL_TOKENS_BOTH,
                             MERGES, &t));
    assert_ok(tokenizer_encode(t, below, CONTEXT, a, &count));
    assert_ok(tokenizer_encode(t, apart, CONTEXT, b, &count));
    assert_int_equal(memcmp(a, b, sizeof a) != 0, kind);
    tokenizer_close(t);
  }
}

static void a_plain_vocabulary_file_is_as_good_as_a_gzipped_one(void **state) {
  (void)state;
  char path[] = "/tmp/flip-merges-XXXXXX", *text = gunzip_file(MERGES);
  tokenizer *plain, *zipped;
  int32_t a[CONTEXT], b[CONTEXT], count;
  close(mkstemp(path));
  assert_ok(fs_write_atomic(path, text, strlen(text)));
  assert_ok(tokenizer_open(TOKENIZER_BPE, SPECIAL_TOKENS_BOTH, path, &plain));
  assert_ok(tokenizer_open(TOKENIZER_BPE, SPECIAL_TOKENS_BOTH, MERGES, &zipped));
  assert_int_equal(tokenizer_vocabulary_size(plain), tokenizer_vocabulary_size(zipped));
  assert_ok(tokenizer_encode(plain, "Two birds, three CATS", CONTEXT, a, &count));
  assert_ok(tokenizer_encode(zipped, "Two birds, three CATS", CONTEXT, b, &count));
  assert_memory_equal(a, b, sizeof a);
  unlink(path);
  free(text);
  tokenizer_close(plain);
  tokenizer_close(zipped);
}

static void refuse(const char *content, const char *message) {
  char path[] = "/tmp/flip-merges-XXXXXX";
  tokenizer *t;
  close(mkstemp(path));
  assert_ok(fs_write_atomic(path, content, strlen(content)));
  assert_fails_with(tokenizer_open(TOKENIZER_BPE, SPECIAL_TOKENS_BOTH, path, &t), message);
  unlink(path);
}

static void a_wrong_vocabulary_is_refused_by_line(void **state) {
  (void)state;
  tokenizer *t;
  refuse("a b\n", ":1: 'a b' is not the '#version' line");
  refuse("#version: 0.2\na b\nab\n", ":3: 'ab' is not two symbols");
  refuse("#version: 0.2\na b\nab qq\n", "merge 2: 'qq' is neither a byte nor made by a merge");
  refuse("", "empty");
  assert_fails_with(tokenizer_open(TOKENIZER_BPE, SPECIAL_TOKENS_BOTH, "/nowhere/bpe.txt.gz", &t),
                    "/nowhere/bpe.txt.gz");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_string_gives_open_clips_and_huggingfaces_tokens),
      cmocka_unit_test(a_long_caption_is_cut_and_keeps_end_of_text),
      cmocka_unit_test(an_iota_below_separates_words_as_in_open_clip),
      cmocka_unit_test(a_plain_vocabulary_file_is_as_good_as_a_gzipped_one),
      cmocka_unit_test(a_wrong_vocabulary_is_refused_by_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
