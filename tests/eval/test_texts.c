/* Texts of the same tokens have one embedding, wherever they were in a batch. */
#include "support/test.h"

#include "eval/texts.h"

enum { TEXTS = 6, LENGTH = 3, WIDTH = 2 };

static void texts_of_the_same_tokens_have_one_embedding(void **state) {
  (void)state;
  /* the third and the last have the same ids, of which the last is padding in one of them */
  const int32_t ids[TEXTS][LENGTH] = {{5, 7, 0}, {9, 0, 0}, {8, 6, 0},
                                      {5, 7, 0}, {9, 0, 0}, {8, 6, 0}};
  const int32_t counts[TEXTS] = {2, 1, 2, 2, 1, 3};
  float embeddings[TEXTS][WIDTH];
  for (int i = 0; i < TEXTS; i++) /* rounded otherwise in each position */
    embeddings[i][0] = 1 + (float)i * 0x1p-23f, embeddings[i][1] = (float)i;
  assert_ok(texts_share_embeddings(ids[0], counts, TEXTS, LENGTH, WIDTH, embeddings[0]));
  const int owners[TEXTS] = {0, 1, 2, 0, 1, 5};
  for (int i = 0; i < TEXTS; i++) {
    assert_true(embeddings[i][0] == 1 + (float)owners[i] * 0x1p-23f);
    assert_true(embeddings[i][1] == (float)owners[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_of_the_same_tokens_have_one_embedding),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
