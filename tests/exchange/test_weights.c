/* Weights compared, with files written by hand. */
#include "support/test.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/fs.h"
#include "base/text.h"
#include "exchange/weights.h"
#include "support/folder.h"

/* Two fp32 tensors of three numbers each. */
static void write_weights(const char *path, const float a[3], const float b[3]) {
  static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"
                               "\"b\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[12,24]}}";
  const uint64_t length = sizeof header - 1;
  strbuf file = {0};
  for (int i = 0; i < 8; i++) strbuf_append_char(&file, (char)(length >> (8 * i)));
  strbuf_append_bytes(&file, header, length);
  strbuf_append_bytes(&file, (const char *)a, 12);
  strbuf_append_bytes(&file, (const char *)b, 12);
  assert_ok(fs_write_atomic(path, file.data, file.length));
  strbuf_free(&file);
}

static void the_greatest_difference_is_named(void **state) {
  (void)state;
  weights_comparison found;
  write_weights("x", (float[3]){1, 2, 3}, (float[3]){4, 5, 6});
  write_weights("y", (float[3]){1, 2.5f, 3}, (float[3]){4, 5, 8});
  assert_ok(weights_compare("x", "y", &found));
  assert_int_equal(found.tensors, 2);
  assert_int_equal(found.different, 2);
  assert_true(found.greatest == 2);
  assert_string_equal(found.worst, "b");
}

/* Whatever follows it, and in whichever tensor. */
static void a_difference_that_is_no_number_is_the_greatest(void **state) {
  (void)state;
  weights_comparison found;
  write_weights("x", (float[3]){1, 2, 3}, (float[3]){4, 5, 6});
  write_weights("y", (float[3]){NAN, 2, 4}, (float[3]){4, 5, 8});
  assert_ok(weights_compare("x", "y", &found));
  assert_true(isnan(found.greatest));
  assert_string_equal(found.worst, "a");
  write_weights("y", (float[3]){1, 2, 4}, (float[3]){4, NAN, 8});
  assert_ok(weights_compare("x", "y", &found));
  assert_true(isnan(found.greatest));
  assert_string_equal(found.worst, "b");
  /* the same NaN in both is no difference */
  write_weights("x", (float[3]){NAN, 2, 3}, (float[3]){4, 5, 6});
  write_weights("y", (float[3]){NAN, 2, 4}, (float[3]){4, 5, 6});
  assert_ok(weights_compare("x", "y", &found));
  assert_true(found.greatest == 1);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)
int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(the_greatest_difference_is_named),
      IN_FOLDER(a_difference_that_is_no_number_is_the_greatest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
