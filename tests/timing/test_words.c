/* The words that a series is known by. */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timing/words.h"

static char written[512];

/* Words parted by blanks, as they are written. */
static const char *written_as(const char *line) {
  char copy[512], *rest = copy, *word;
  const char *items[32];
  option_list words = {items, 0};
  strbuf out = {0};
  snprintf(copy, sizeof copy, "%s", line);
  while ((word = strsep(&rest, " "))) items[words.count++] = word;
  words_write(&words, &out);
  snprintf(written, sizeof written, "%s", strbuf_string(&out));
  strbuf_free(&out);
  return written;
}

static void order_and_spelling_of_options_do_not_count(void **state) {
  (void)state;
  const char *wanted = "bench step -s batch_size=32 -s precision=fp32";
  assert_string_equal(written_as("bench step -s precision=fp32 -s batch_size=32"), wanted);
  assert_string_equal(written_as("bench step --set precision=fp32 --set=batch_size=32"), wanted);
  assert_string_equal(written_as("bench step -s batch_size=64 -s precision=fp32 -s batch_size=32"),
                      wanted);
}

/* Rows are named by their place among the values: "mask_ratio=0 (2)"; ratios are to the first. */
static void the_order_of_one_options_values_counts(void **state) {
  (void)state;
  assert_string_equal(written_as("bench step --mask 0.75 -s threads=1 --mask 0"),
                      "bench step --mask 0.75 --mask 0 -s threads=1");
  assert_string_equal(written_as("bench step -s threads=1 --mask 0 --mask 0.75"),
                      "bench step --mask 0 --mask 0.75 -s threads=1");
  assert_string_equal(written_as("bench step --mask=0.75 -s threads=1 --mask=0"),
                      "bench step --mask 0.75 --mask 0 -s threads=1");
}

static void how_long_and_how_it_is_printed_does_not_count(void **state) {
  (void)state;
  const char *wanted = "bench step -s batch_size=32";
  assert_string_equal(written_as("bench step --json -s batch_size=32 -n 3"), wanted);
  assert_string_equal(written_as("bench step -n3 -s batch_size=32 --steps=5"), wanted);
  assert_string_equal(written_as("bench step --steps 5 -s batch_size=32 --no-progress"), wanted);
}

static void the_measured_time_counts(void **state) {
  (void)state;
  static const char *const lines[] = {"bench step",
                                      "bench ops",
                                      "step bench",
                                      "bench step -s threads=1",
                                      "bench step -s threads=2",
                                      "bench step -s precision=bf16",
                                      "bench step --device cuda",
                                      "bench step --fit",
                                      "bench step -nodes 4",
                                      "bench step -nodes 8",
                                      "bench step -no-fit",
                                      "bench step -s image.layers=6",
                                      "bench step -s lr=-1"};
  enum { COUNT = sizeof lines / sizeof *lines };
  char *all[COUNT];
  for (size_t i = 0; i < COUNT; i++) all[i] = strdup(written_as(lines[i]));
  for (size_t i = 0; i < COUNT; i++)
    for (size_t j = 0; j < i; j++) assert_string_not_equal(all[i], all[j]);
  for (size_t i = 0; i < COUNT; i++) free(all[i]);
}

static void put(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static void a_file_is_known_by_its_content(void **state) {
  (void)state;
  char first[512];
  put("words_model.yaml", "batch_size: 32\n");
  snprintf(first, sizeof first, "%s", written_as("bench step -c words_model.yaml"));
  assert_true(strncmp(first, "bench step -c words_model.yaml@", 31) == 0);
  put("words_model.yaml", "batch_size: 64\n");
  assert_string_not_equal(written_as("bench step -c words_model.yaml"), first);
  remove("words_model.yaml");
}

/* And by that of the files it is based on, at any depth. */
static void a_run_file_is_known_by_its_bases(void **state) {
  (void)state;
  static const char *const lists[] = {"base: words_base.yaml\n", "base: [words_base.yaml]\n"};
  char first[512];
  put("words_deep.yaml", "batch_size: 32\n");
  put("words_base.yaml", "base: words_deep.yaml\n");
  for (int i = 0; i < 2; i++) {
    put("words_model.yaml", lists[i]);
    snprintf(first, sizeof first, "%s", written_as("bench step -c words_model.yaml"));
    assert_string_equal(written_as("bench step -c words_model.yaml"), first);
    put("words_deep.yaml", i ? "batch_size: 64\n" : "batch_size: 16\n");
    assert_string_not_equal(written_as("bench step -c words_model.yaml"), first);
  }
  put("words_base.yaml", "base: words_model.yaml\n"); /* without end */
  assert_true(strlen(written_as("bench step -c words_model.yaml")) == strlen(first));
  remove("words_model.yaml"), remove("words_base.yaml"), remove("words_deep.yaml");
}

static void the_environment_that_changes_speed_counts(void **state) {
  (void)state;
  setenv("FLIP_CPU_KERNELS", "x86-64-v2", 1);
  setenv("UNRELATED", "1", 1);
  assert_string_equal(written_as("bench step --json -s threads=1"),
                      "FLIP_CPU_KERNELS=x86-64-v2 bench step -s threads=1");
  assert_string_equal(written_as("-s threads=1"), "FLIP_CPU_KERNELS=x86-64-v2 -s threads=1");
  unsetenv("FLIP_CPU_KERNELS");
  setenv("OMP_THREAD_LIMIT", "1", 1);
  setenv("OMP_DYNAMIC", "true", 1);
  setenv("DNNL_MAX_CPU_ISA", "AVX2", 1);
  assert_string_equal(written_as("bench"),
                      "DNNL_MAX_CPU_ISA=AVX2 OMP_DYNAMIC=true OMP_THREAD_LIMIT=1 bench");
  unsetenv("OMP_THREAD_LIMIT");
  unsetenv("OMP_DYNAMIC");
  unsetenv("DNNL_MAX_CPU_ISA");
}

int main(void) {
  static const char *const own[] = {"OMP_NUM_THREADS", "OMP_PROC_BIND",    "OMP_WAIT_POLICY",
                                    "GOMP_SPINCOUNT",  "FLIP_CPU_KERNELS", "OMP_THREAD_LIMIT",
                                    "OMP_DYNAMIC",     "DNNL_MAX_CPU_ISA"};
  for (size_t i = 0; i < sizeof own / sizeof *own; i++) unsetenv(own[i]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(order_and_spelling_of_options_do_not_count),
      cmocka_unit_test(the_order_of_one_options_values_counts),
      cmocka_unit_test(how_long_and_how_it_is_printed_does_not_count),
      cmocka_unit_test(the_measured_time_counts),
      cmocka_unit_test(a_file_is_known_by_its_content),
      cmocka_unit_test(a_run_file_is_known_by_its_bases),
      cmocka_unit_test(the_environment_that_changes_speed_counts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
