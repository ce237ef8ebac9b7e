/* Texts of the same tokens and images of the same pixels have one embedding, wherever they were in
 * a batch. */
#include "support/test.h"

#include <stdlib.h>

#include "eval/copies.h"
#include "eval/texts.h"

enum { ROWS = 6, LENGTH = 3, WIDTH = 2 };

/* Rounded otherwise in each position. */
static void fill(float embeddings[ROWS][WIDTH]) {
  for (int i = 0; i < ROWS; i++) {
    embeddings[i][0] = 1 + (float)i * 0x1p-23f;
    embeddings[i][1] = (float)i;
  }
}

static void assert_owners(float embeddings[ROWS][WIDTH], const int owners[ROWS]) {
  for (int i = 0; i < ROWS; i++) {
    assert_true(embeddings[i][0] == 1 + (float)owners[i] * 0x1p-23f);
    assert_true(embeddings[i][1] == (float)owners[i]);
  }
}

static void texts_of_the_same_tokens_have_one_embedding(void **state) {
  (void)state;
  /* the third and the last have the same ids, of which the last is padding in one of them */
  const int32_t ids[ROWS][LENGTH] = {{5, 7, 0}, {9, 0, 0}, {8, 6, 0},
                                     {5, 7, 0}, {9, 0, 0}, {8, 6, 0}};
  const int32_t counts[ROWS] = {2, 1, 2, 2, 1, 3};
  float embeddings[ROWS][WIDTH];
  fill(embeddings);
  assert_ok(texts_share_embeddings(ids[0], counts, ROWS, LENGTH, WIDTH, embeddings[0]));
  assert_owners(embeddings, (const int[ROWS]){0, 1, 2, 0, 1, 5});
}

static void images_of_the_same_pixels_have_one_embedding(void **state) {
  (void)state;
  enum { BYTES = 3 };
  const uint8_t pixels[ROWS][BYTES] = {{0}, {9, 9, 9}, {9, 9, 8}, {9, 9, 9}, {0}, {9, 9, 9}};
  char digests[ROWS][HASH_SIZE];
  float embeddings[ROWS][WIDTH];
  fill(embeddings);
  copies_hash(pixels[0], ROWS, BYTES, digests);
  assert_ok(copies_share_embeddings((const char(*)[HASH_SIZE])digests, ROWS, WIDTH, embeddings[0]));
  assert_owners(embeddings, (const int[ROWS]){0, 1, 2, 1, 0, 1});
}

static void *copy_of(const void *from, size_t bytes) {
  void *to = malloc(bytes);
  assert_non_null(to);
  return memcpy(to, from, bytes);
}

/* Rows 0 and 2 are of one file; the texts of all of them follow the images' order. */
static void texts_of_one_file_belong_to_its_first_row(void **state) {
  (void)state;
  enum { TEXTS = 6, IDS = 2 };
  static const int32_t ids[TEXTS][IDS] = {{10, 11}, {12, 0}, {20, 21}, {30, 31}, {32, 0}, {40, 41}};
  static const int32_t counts[TEXTS] = {2, 1, 2, 2, 1, 2}, owners[TEXTS] = {0, 0, 1, 2, 2, 3};
  char *names[] = {"b", "a", "b", NULL};
  static const struct {
    bool repeats;
    int64_t most;
    int count, texts[TEXTS];
  } wanted[] = {{false, 9, 6, {0, 1, 3, 4, 2, 5}},
                {false, 3, 5, {0, 1, 3, 2, 5}},
                {false, 1, 3, {0, 2, 5}},
                {true, 9, 4, {0, 1, 2, 5}}};
  for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++) {
    bool lacks_text[4] = {false};
    eval_set set = {.rows = 4,
                    .text_count = TEXTS,
                    .text_length = IDS,
                    .lacks_text = lacks_text,
                    .ids = copy_of(ids, sizeof ids),
                    .id_counts = copy_of(counts, sizeof counts),
                    .owners = copy_of(owners, sizeof owners)};
    assert_ok(copies_join(&set, names, wanted[k].repeats, wanted[k].most));
    assert_int_equal(set.text_count, wanted[k].count);
    for (int t = 0; t < wanted[k].count; t++) {
      int from = wanted[k].texts[t];
      assert_memory_equal(set.ids + t * IDS, ids[from], sizeof ids[from]);
      assert_int_equal(set.id_counts[t], counts[from]);
      assert_int_equal(set.owners[t], owners[from] == 2 ? 0 : owners[from]);
    }
    for (int row = 0; row < 4; row++) assert_int_equal(lacks_text[row], row == 2);
    free(set.ids);
    free(set.id_counts);
    free(set.owners);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_of_the_same_tokens_have_one_embedding),
      cmocka_unit_test(images_of_the_same_pixels_have_one_embedding),
      cmocka_unit_test(texts_of_one_file_belong_to_its_first_row),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
