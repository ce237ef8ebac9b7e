/* Reading shards against the webdataset library: fixtures/webdataset, made by
 * make_webdataset_fixture.py. */
#include "support/test.h"

#include <stdlib.h>

#include "base/fs.h"
#include "read/dataset.h"

#define FIXTURES FLIP_SOURCE_DIR "/tests/parity/fixtures/webdataset/"

static void every_dialect_of_tar_gives_webdatasets_samples(void **state) {
  (void)state;
  char *text, *pattern = FIXTURES "{gnu,pax,ustar,writer}.tar", image[512];
  size_t length;
  dataset *d;
  int64_t row = 0;
  assert_ok(fs_read(FIXTURES "expected.txt", &text, &length));
  assert_ok(dataset_open(&pattern, 1, &d));
  for (char *rest = text, *shard; (shard = strsep(&rest, "\n")) && *shard; row++) {
    dataset_sample s;
    assert_ok(dataset_read(d, row, &s));
    assert_string_equal(fs_name(s.shard), shard);
    assert_string_equal(s.key, strsep(&rest, "\n"));
    snprintf(image, sizeof image, "%.*s", (int)s.image_bytes, (const char *)s.image);
    assert_string_equal(image, strsep(&rest, "\n"));
    assert_string_equal(s.caption, strsep(&rest, "\n"));
    dataset_sample_free(&s);
  }
  assert_int_equal(row, dataset_count(d));
  assert_true(row > 30);
  free(text);
  dataset_close(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_dialect_of_tar_gives_webdatasets_samples),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
