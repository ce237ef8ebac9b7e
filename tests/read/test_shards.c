/* Names of shards by a pattern, and the order of samples. */
#include "support/test.h"

#include "base/fs.h"
#include "read/permute.h"
#include "read/shard_expand.h"

static void the_permutation_is_one_for_any_size(void **state) {
  (void)state;
  for (int64_t count = 1; count < 300; count += 7) {
    bool seen[300] = {false};
    for (int64_t i = 0; i < count; i++) {
      int64_t row = permute(9, 2, count, i);
      assert_true(row >= 0 && row < count && !seen[row]);
      seen[row] = true;
    }
  }
}

static void patterns_expand_as_in_webdataset(void **state) {
  (void)state;
  char **paths, *patterns[] = {"a-{008..011}.tar", "{x,y}/b.tar"};
  size_t count;
  assert_ok(shard_expand(patterns, 2, &paths, &count));
  assert_int_equal(count, 6);
  assert_string_equal(paths[0], "a-008.tar");
  assert_string_equal(paths[3], "a-011.tar");
  assert_string_equal(paths[5], "y/b.tar");
  fs_free_names(paths, count);
  char *none[] = {"/nowhere/*.tar"};
  assert_fails_with(shard_expand(none, 1, &paths, &count), "no file matches");
}

static void a_pattern_that_names_millions_of_shards_is_reported(void **state) {
  (void)state;
  char **paths, *two_ranges[] = {"{0..999}-{0..9999}.tar"}, *one[] = {"{00..80000012}.tar"};
  char *backwards[] = {"{a,b}-{9..0}.tar"};
  char *edges[] = {"{-9223372036854775807..9223372036854775807}.tar"};
  char *last[] = {"{9223372036854775806..9223372036854775807}.tar"};
  size_t count;
  assert_fails_with(shard_expand(two_ranges, 1, &paths, &count),
                    "{0..999}-{0..9999}.tar: more than 1000000 shards");
  assert_fails_with(shard_expand(one, 1, &paths, &count), "longer than 1000000");
  assert_fails_with(shard_expand(backwards, 1, &paths, &count), "{a,b}-{9..0}.tar: the range runs");
  assert_fails_with(shard_expand(edges, 1, &paths, &count), "longer than 1000000");
  assert_ok(shard_expand(last, 1, &paths, &count));
  assert_int_equal(count, 2);
  fs_free_names(paths, count);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_permutation_is_one_for_any_size),
      cmocka_unit_test(patterns_expand_as_in_webdataset),
      cmocka_unit_test(a_pattern_that_names_millions_of_shards_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
