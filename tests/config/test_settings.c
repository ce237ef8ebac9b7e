/* Run settings: YAML with positions, layers, limits, identity. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "config/settings.h"

static void apply(settings *s, const char *text) {
  yml_document *document;
  yml_problems problems = {0};
  assert_ok(yml_parse("run.yaml", text, strlen(text), &document));
  settings_apply(s, yml_root(document), NULL, &problems);
  assert_ok(yml_problems_take(&problems));
  yml_free(document);
}

/* The whole message, so that a change of it is seen. */
static void assert_refused(const char *text, const char *wanted) {
  settings s;
  yml_document *document;
  yml_problems problems = {0};
  assert_ok(settings_init(&s));
  assert_ok(yml_parse("run.yaml", text, strlen(text), &document));
  settings_apply(&s, yml_root(document), NULL, &problems);
  err error = yml_problems_take(&problems);
  if (!error) fail_msg("expected: %s", wanted);
  assert_string_equal(err_message(error), wanted);
  err_free(error);
  yml_free(document);
  settings_free(&s);
}

static void nested_and_dotted_keys_are_the_same_settings(void **state) {
  (void)state;
  settings nested, dotted;
  char a[HASH_SIZE], b[HASH_SIZE];
  assert_ok(settings_init(&nested));
  assert_ok(settings_init(&dotted));
  apply(&nested, "image: {width: 192, heads: 3}\ndata: {train: [a.tar, b.tar]}\n");
  apply(&dotted, "image.width: 192\nimage.heads: 3\ndata.train: [a.tar, b.tar]\n");
  assert_int_equal(nested.image_width, 192);
  settings_fingerprint(&nested, a);
  settings_fingerprint(&dotted, b);
  assert_string_equal(a, b);
  settings_free(&nested);
  settings_free(&dotted);
}

static void numbers_take_underscores_and_powers_of_thousand(void **state) {
  (void)state;
  settings s;
  assert_ok(settings_init(&s));
  apply(&s, "samples: 12.8M\nwarmup_samples: 1_281_167\n");
  assert_int_equal(s.samples, 12800000);
  assert_int_equal(s.warmup_samples, 1281167);
  apply(&s, "samples: 75k\n");
  assert_int_equal(s.samples, 75000);
  settings_free(&s);
}

static void the_last_word_on_the_length_of_a_run_wins(void **state) {
  (void)state;
  settings s;
  assert_ok(settings_init(&s));
  apply(&s, "epochs: 3\n");
  apply(&s, "samples: 10k\n");
  assert_true(s.samples == 10000 && s.epochs == 0);
  apply(&s, "learning_rate: 1e-3\n");
  apply(&s, "base_learning_rate: 4e-6\nepochs: 1\n");
  assert_true(s.samples == 0 && s.epochs == 1 && s.learning_rate == 0);
  settings_free(&s);
}

static void every_error_of_a_file_is_told_in_one_pass_with_its_place(void **state) {
  (void)state;
  assert_refused("image:\n"
                 "  widht: 192\n"
                 "mask_ratio: 1.5\n"
                 "mask_mode: randm\n"
                 "data.flip: maybe\n",
                 "run.yaml:2:3: unknown setting 'image.widht'\n"
                 "    2 |   widht: 192\n"
                 "      |   ^~~~~ did you mean 'width'?\n"
                 "run.yaml:3:13: mask_ratio: 1.5 is outside [0, 0.999]\n"
                 "    3 | mask_ratio: 1.5\n"
                 "      |             ^~~\n"
                 "run.yaml:4:12: mask_mode: 'randm' is not one of random|grid|block|gaussian|zero\n"
                 "    4 | mask_mode: randm\n"
                 "      |            ^~~~~ did you mean 'random'?\n"
                 "run.yaml:5:12: data.flip: 'maybe' is not true or false\n"
                 "    5 | data.flip: maybe\n"
                 "      |            ^~~~~");
}

static void yaml_that_is_no_yaml_is_refused_with_its_place(void **state) {
  (void)state;
  static const char *const texts[] = {
      "image: {width: 1\n",       /* not closed */
      "seed: 1\nseed: 2\n",       /* twice */
      "a: 1\n---\nb: 2\n",        /* two documents */
      "seed: !!python/object 1\n" /* a tag */
  };
  static const char *const places[] = {"run.yaml:", "run.yaml:2:1", "run.yaml:2", "run.yaml:1:7"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    yml_document *document;
    assert_fails_with(yml_parse("run.yaml", texts[i], strlen(texts[i]), &document), places[i]);
  }
}

static void what_no_row_can_say_alone_is_checked_too(void **state) {
  (void)state;
  static const char *const changes[][2] = {
      {"image.patch=7", "image.patch: 7 does not divide image.size 64"},
      {"image.heads=3", "image.heads: 3 does not divide image.width 128"},
      {"epochs=2", NULL},
      {"samples=0", "give one of samples and epochs"},
      {"micro_batch_size=100", "micro_batch_size: 100 does not divide batch_size 256"},
      {"data.crop_min=1", NULL},
      {"data.crop_max=0.2", "data.crop_min 0.5 is above data.crop_max 0.2"},
      {"text.vocabulary=", "text.vocabulary is empty"},
      {"data.train=[]", "data.train is empty"},
      {"text_mask_ratio=0.5", "drops nothing with text_mask_mode: none"},
  };
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    settings s;
    assert_ok(settings_init(&s));
    apply(&s, "text.vocabulary: v.txt\ndata.train: a.tar\nsamples: 100\n");
    assert_ok(settings_check(&s));
    assert_ok(settings_set(&s, changes[i][0]));
    err error = settings_check(&s);
    if (changes[i][1]) {
      assert_fails_with(error, changes[i][1]);
    } else {
      assert_ok(error);
    }
    settings_free(&s);
  }
}

static void the_canonical_form_reads_back_as_itself(void **state) {
  (void)state;
  settings s, again;
  strbuf text = {0}, back = {0};
  assert_ok(settings_init(&s));
  apply(&s, "text.vocabulary: \"a: # b\"\ndata.train: [\"x y.tar\", \"[1]\"]\n"
            "learning_rate: 1e-3\nbeta2: 0.1\nsamples: 8999999999999999\n");
  settings_write_yaml(&s, &text);
  assert_ok(settings_init(&again));
  apply(&again, strbuf_string(&text));
  settings_write_yaml(&again, &back);
  assert_string_equal(strbuf_string(&text), strbuf_string(&back));
  assert_string_equal(again.text_vocabulary, "a: # b");
  assert_string_equal(again.data_train.items[1], "[1]");
  strbuf_free(&text);
  strbuf_free(&back);
  settings_free(&s);
  settings_free(&again);
}

static void only_what_can_change_a_result_changes_the_fingerprint(void **state) {
  (void)state;
  size_t count;
  const setting *table = settings_table(&count);
  for (size_t i = 0; i < count; i++) {
    settings s;
    char before[HASH_SIZE], after[HASH_SIZE], value[64];
    assert_ok(settings_init(&s));
    settings_fingerprint(&s, before);
    const setting *row = &table[i];
    if (row->type == SETTING_PICK) { /* the last choice; no default is the last one */
      const char *last = strrchr(row->choices, '|');
      snprintf(value, sizeof value, "%s", last + 1);
    } else if (row->type == SETTING_BOOL) {
      snprintf(value, sizeof value, "%s", strcmp(row->initial, "true") == 0 ? "false" : "true");
    } else if (row->type == SETTING_INT) {
      snprintf(value, sizeof value, "%ld", atol(row->initial) + 1);
    } else if (row->type == SETTING_REAL) {
      snprintf(value, sizeof value, "%.17g", atof(row->initial) == 0.125 ? 0.25 : 0.125);
      if (row->least > 0.125) snprintf(value, sizeof value, "%.17g", row->least);
    } else {
      snprintf(value, sizeof value, "something");
    }
    assert_ok(setting_assign(row, &s, value));
    settings_fingerprint(&s, after);
    if ((strcmp(before, after) != 0) != row->is_identity)
      fail_msg("%s: is_identity is %d", row->key, row->is_identity);
    settings_free(&s);
  }
}

/* The identity of a run leaves out what is at its default: a default that changed would give old
 * runs a new meaning. */
static void no_default_changes_under_recorded_runs(void **state) {
  (void)state;
  size_t count, length, at = 0;
  const setting *table = settings_table(&count);
  settings defaults;
  char *text, *rest = NULL;
  assert_ok(settings_init(&defaults));
  assert_ok(fs_read(FLIP_SOURCE_DIR "/tests/config/defaults.txt", &text, &length));
  for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    char *colon = strstr(line, ": ");
    assert_non_null(colon);
    *colon = '\0';
    const setting *row = settings_find(line);
    strbuf value = {0};
    if (!row)
      fail_msg("%s is gone: raise IDENTITY_VERSION in core/config/identity.c and take the line out "
               "of tests/config/defaults.txt",
               line);
    setting_format(row, &defaults, &value);
    if (strcmp(strbuf_string(&value), colon + 2) != 0)
      fail_msg("the default of %s was %s and is %s: raise IDENTITY_VERSION in "
               "core/config/identity.c, then change tests/config/defaults.txt",
               line, colon + 2, strbuf_string(&value));
    strbuf_free(&value);
    at++;
  }
  size_t identities = 0;
  for (size_t i = 0; i < count; i++) identities += table[i].is_identity;
  if (at != identities)
    fail_msg("tests/config/defaults.txt lists %zu settings, there are %zu that make the identity: "
             "add the new ones",
             at, identities);
  free(text);
  settings_free(&defaults);
}

static void bases_are_laid_below_and_cycles_are_refused(void **state) {
  (void)state;
  char folder[] = "/tmp/flip-settings-XXXXXX";
  settings s;
  assert_non_null(mkdtemp(folder));
  assert_int_equal(chdir(folder), 0);
  assert_ok(fs_write_atomic("base.yaml", "seed: 3\nbatch_size: 64\n", 23));
  assert_ok(fs_write_atomic("run.yaml", "base: base.yaml\nseed: 4\n", 24));
  assert_ok(settings_load("run.yaml", &s));
  assert_true(s.seed == 4 && s.batch_size == 64);
  settings_free(&s);
  assert_ok(fs_write_atomic("a.yaml", "base: b.yaml\n", 13));
  assert_ok(fs_write_atomic("b.yaml", "base: a.yaml\n", 13));
  assert_fails_with(settings_load("a.yaml", &s), "a.yaml");
  assert_fails_with(settings_load("nothere.yaml", &s), "nothere.yaml");
  static const char *const names[] = {"base.yaml", "run.yaml", "a.yaml", "b.yaml"};
  for (size_t i = 0; i < 4; i++) unlink(names[i]);
  assert_int_equal(chdir("/"), 0);
  rmdir(folder);
}

/* YAML 1.2's core schema: three spellings of true, false and null; no other words. */
static void yamls_own_words_are_read_as_it_has_them(void **state) {
  (void)state;
  settings s, plain;
  char a[HASH_SIZE], b[HASH_SIZE];
  assert_ok(settings_init(&s));
  assert_ok(settings_init(&plain));
  apply(&s, "data: {flip: True, shuffle: FALSE}\ninit_from: Null\neval.sets: NULL\n"
            "samples: 0x10\nbatch_size: 0o20\nclip_norm: 1e-1\ntext.vocabulary: \"null\"\n");
  assert_true(s.data_flip);
  assert_false(s.data_shuffle);
  assert_string_equal(s.init_from, "");
  assert_int_equal(s.eval_sets.count, 0);
  assert_int_equal(s.samples, 16);
  assert_int_equal(s.batch_size, 16);
  assert_string_equal(s.text_vocabulary, "null");
  settings_free(&s);
  assert_ok(settings_init(&s));
  apply(&s, "init_from: ~\n");
  settings_fingerprint(&s, a);
  settings_fingerprint(&plain, b);
  assert_string_equal(a, b);
  settings_free(&s);
  settings_free(&plain);
  assert_refused("clip_norm: null\n",
                 "run.yaml:1:12: clip_norm: null is no value of its; leave the key out for its "
                 "default\n    1 | clip_norm: null\n      |            ^~~~");
  assert_refused("data.flip: yes\n",
                 "run.yaml:1:12: data.flip: 'yes' is not true or false (it was one in YAML 1.1; in "
                 "1.2 it is a word)\n    1 | data.flip: yes\n      |            ^~~");
  assert_refused("image: {width: 64}\nimage.width: 32\n",
                 "run.yaml:2:1: image.width is given twice, nested and dotted (first on line 1)\n"
                 "    2 | image.width: 32\n      | ^~~~~~~~~~~");
}

static void merge_keys_bring_what_a_map_has_not(void **state) {
  (void)state;
  settings s;
  yml_document *document;
  static const char *const wrong[][2] = {
      {"<<: 3\n", "run.yaml:1:5: '<<' takes a map"},
      {"<<: [{a: 1}, b]\n", "'<<' takes a map"},
      {"a: {<<: {b: 1}, <<: {c: 1}}\n", "key '<<' is given twice"},
      {"a:\n\tb: 1\n", "run.yaml:2:1: a tab here"},
      {"a: \"x\\0y\"\n", "run.yaml:1:4: a NUL character"}};
  assert_ok(settings_init(&s));
  apply(&s, "image: &tower {width: 96, layers: 3}\n"
            "text:\n  <<: [*tower, {layers: 7, heads: 2}]\n  width: 48\n");
  assert_int_equal(s.image_width, 96);
  assert_int_equal(s.text_width, 48); /* its own goes before */
  assert_int_equal(s.text_layers, 3); /* of two maps the first */
  assert_int_equal(s.text_heads, 2);
  settings_free(&s);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_fails_with(yml_parse("run.yaml", wrong[i][0], strlen(wrong[i][0]), &document),
                      wrong[i][1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nested_and_dotted_keys_are_the_same_settings),
      cmocka_unit_test(numbers_take_underscores_and_powers_of_thousand),
      cmocka_unit_test(the_last_word_on_the_length_of_a_run_wins),
      cmocka_unit_test(every_error_of_a_file_is_told_in_one_pass_with_its_place),
      cmocka_unit_test(yaml_that_is_no_yaml_is_refused_with_its_place),
      cmocka_unit_test(what_no_row_can_say_alone_is_checked_too),
      cmocka_unit_test(the_canonical_form_reads_back_as_itself),
      cmocka_unit_test(only_what_can_change_a_result_changes_the_fingerprint),
      cmocka_unit_test(no_default_changes_under_recorded_runs),
      cmocka_unit_test(yamls_own_words_are_read_as_it_has_them),
      cmocka_unit_test(merge_keys_bring_what_a_map_has_not),
      cmocka_unit_test(bases_are_laid_below_and_cycles_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
