/* Texts of the same tokens and images of the same pixels have one embedding, wherever they were in
 * a batch. */
#include "support/test.h"

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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_of_the_same_tokens_have_one_embedding),
      cmocka_unit_test(images_of_the_same_pixels_have_one_embedding),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
