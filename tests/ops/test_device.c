/* Opening a device by the settings: sizes beyond a backend's limits are refused there, naming the
 * setting, its value, the limit and the device, and never fail in an op. */
#include "support/test.h"

#include "ops/device.h"

/* The message of an error that there must be. */
static void assert_refused(err error, const char *const *words) {
  assert_non_null(error);
  assert_int_equal(err_kind_of(error), ERR_UNSUPPORTED);
  for (; *words; words++)
    if (!strstr(err_message(error), *words))
      fail_msg("'%s' does not say '%s'", err_message(error), *words);
  err_free(error);
}
#define REFUSED(error, ...) assert_refused(error, (const char *const[]){__VA_ARGS__, NULL})

/* The defaults, with these changes, on the limited backend. */
static settings with(const char *const *changes) {
  static const char *const fitting[] = {"device=cuda", "image.width=96", "text.width=96",
                                        "image.heads=4", "text.heads=4"};
  settings s;
  assert_ok(settings_init(&s));
  for (size_t i = 0; i < sizeof fitting / sizeof *fitting; i++)
    assert_ok(settings_set(&s, fitting[i]));
  for (; *changes; changes++) assert_ok(settings_set(&s, *changes));
  return s;
}
#define WITH(...) with((const char *const[]){__VA_ARGS__, NULL})

static err open_with(settings s) {
  ops_opened opened;
  ops *o = NULL;
  err error = ops_open(&s, &opened), again = ops_open_as(&s, PRECISION_BF16, &o);
  assert_true((error == NULL) == (again == NULL));
  err_free(again);
  ops_destroy(opened.o);
  ops_destroy(o);
  settings_free(&s);
  return error;
}

static void sizes_beyond_a_limit_are_refused_by_name(void **state) {
  (void)state;
  REFUSED(open_with(WITH("image.width=100")), "image.width: 100 ", "above 96", "device: cuda");
  REFUSED(open_with(WITH("text.width=100")), "text.width: 100 ", "above 96", "device: cuda");
  REFUSED(open_with(WITH("reconstruction.weight=1", "reconstruction.width=100")),
          "reconstruction.width: 100 ", "above 96", "device: cuda");
  REFUSED(open_with(WITH("image.heads=3")), "image.heads: 3 ", "heads of width 32", "above 24",
          "device: cuda");
  REFUSED(open_with(WITH("text.heads=2")), "text.heads: 2 ", "heads of width 48", "above 24",
          "device: cuda");
}

static void sizes_at_a_limit_are_accepted(void **state) {
  (void)state;
  /* a classifier has no text tower */
  assert_ok(open_with(WITH("precision=bf16", "classification.classes=10", "text.width=100")));
  assert_ok(open_with(WITH("precision=bf16")));
  assert_ok(open_with(WITH("precision=fp32", "image.size=4096", "image.position=learned")));
}

static void the_cpu_has_no_limits(void **state) {
  (void)state;
  assert_ok(open_with(WITH("device=cpu", "image.width=65536", "image.heads=1", "text.width=65536",
                           "text.heads=1", "precision=fp32")));
}

static err train_with(settings s, int64_t vocabulary) {
  ops *o;
  assert_ok(ops_open_as(&s, PRECISION_BF16, &o));
  err error = ops_check_training(o, &s, vocabulary);
  ops_destroy(o);
  settings_free(&s);
  return error;
}

static void tables_too_long_to_be_trained_are_refused(void **state) {
  (void)state;
  assert_ok(train_with(WITH("image.position=learned"), 65)); /* 8 x 8 patches and the class token */
  REFUSED(train_with(WITH("image.position=sincos"), 66), "text.vocabulary: 66 entries", "above 65",
          "device: cuda");
  REFUSED(train_with(WITH("text.vocabulary_rows=70"), 60), "text.vocabulary_rows: 70 entries",
          "above 65", "device: cuda");
  REFUSED(train_with(WITH("image.position=learned", "image.patch=4"), 60), "image.patch: 4 ",
          "257 positions", "above 65", "device: cuda");
  assert_ok(train_with(WITH("image.patch=4"), 60));
  assert_ok(train_with(WITH("device=cpu", "image.position=learned", "image.size=4096"), 1 << 20));
}

static void the_libraries_are_those_linked_and_those_loaded(void **state) {
  (void)state;
  ops_library list[OPS_LIBRARIES];
  settings s = WITH("device=cuda");
  ops *o;
  assert_ok(ops_open_as(&s, PRECISION_BF16, &o));
  assert_int_equal(ops_libraries(o, list), 3);
  assert_string_equal(list[0].name, "onednn");
  assert_string_equal(list[1].name, "onednn_isa");
  assert_true(*list[1].version);
  assert_string_equal(list[2].name, "limited");
  assert_string_equal(list[2].version, "1.2.3");
  ops_destroy(o);
  s.device = DEVICE_CPU;
  assert_ok(ops_open_as(&s, PRECISION_FP32, &o));
  assert_int_equal(ops_libraries(o, list), 2);
  ops_destroy(o);
  settings_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes_beyond_a_limit_are_refused_by_name),
      cmocka_unit_test(sizes_at_a_limit_are_accepted),
      cmocka_unit_test(the_cpu_has_no_limits),
      cmocka_unit_test(tables_too_long_to_be_trained_are_refused),
      cmocka_unit_test(the_libraries_are_those_linked_and_those_loaded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
