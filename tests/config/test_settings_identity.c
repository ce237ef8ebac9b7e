/* Which settings make a run's identity, and that recorded runs keep theirs. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apply.h"
#include "base/fs.h"
#include "config/settings.h"
#include "config/weights_of.h"

static void only_what_can_change_a_result_changes_the_fingerprint(void **state) {
  (void)state;
  size_t count;
  const setting *table = settings_table(&count);
  for (size_t i = 0; i < count; i++) {
    settings s;
    char before[HASH_SIZE], after[HASH_SIZE], value[64];
    const setting *row = &table[i];
    assert_ok(settings_init(&s));
    if (strncmp(row->key, "classification.", 15) == 0 && setting_is_idle(row, &s)) {
      assert_ok(settings_set(&s, "classification.classes=4"));
      assert_ok(settings_set(&s, "classification.augment_magnitude=3"));
      if (strcmp(row->key, "classification.mix_batch") == 0) {
        assert_true(setting_is_idle(row, &s)); /* nothing is mixed */
        assert_ok(settings_set(&s, "classification.cutmix=1"));
      }
    } else if (strncmp(row->key, "eval.probe_", 11) == 0 && setting_is_idle(row, &s))
      assert_ok(settings_set(&s, "eval.probe_train=set.yaml"));
    else if (strcmp(row->key, "fp8_scaling") == 0 || strcmp(row->key, "eval.batch_size") == 0)
      assert_ok(settings_set(&s, "precision=fp8"));
    else if (strncmp(row->key, "attentive.", 10) == 0) {
      assert_ok(settings_set(&s, "mask_mode=attentive"));
      assert_true(setting_is_idle(row, &s)); /* nothing is dropped */
      assert_ok(settings_set(&s, "mask_ratio=0.5"));
      assert_false(setting_is_idle(settings_find("eval.batch_size"), &s));
    } else if (setting_is_idle(row, &s) && row->type == SETTING_INT)
      assert_ok(settings_set(&s, "reconstruction.weight=1"));
    else if (setting_is_idle(row, &s))
      assert_ok(settings_set(&s, row->type == SETTING_BOOL ? "text.tokenizer=bpe"
                                                           : "text_mask_mode=syntax"));
    assert_ok(settings_fingerprint(&s, before));
    if (row->type == SETTING_PICK) { /* the last choice; no default is the last one */
      const char *last = strrchr(row->choices, '|');
      snprintf(value, sizeof value, "%s", last + 1);
    } else if (row->type == SETTING_BOOL) {
      snprintf(value, sizeof value, "%s", strcmp(row->initial, "true") == 0 ? "false" : "true");
    } else if (row->type == SETTING_INT || row->type == SETTING_LEVEL) {
      snprintf(value, sizeof value, "%ld", atol(row->initial) + 1);
    } else if (row->type == SETTING_REAL) {
      snprintf(value, sizeof value, "%.17g", atof(row->initial) == 0.125 ? 0.25 : 0.125);
      if (row->least > 0.125) snprintf(value, sizeof value, "%.17g", row->least);
    } else {
      snprintf(value, sizeof value, "something");
    }
    assert_ok(setting_assign(row, &s, value));
    assert_ok(settings_fingerprint(&s, after));
    if ((strcmp(before, after) != 0) != row->is_identity)
      fail_msg("%s: is_identity is %d", row->key, row->is_identity);
    settings_free(&s);
  }
}

/* Without its weight the decoder's shape is no part of a run. */
static void an_absent_decoder_is_not_part_of_the_identity(void **state) {
  (void)state;
  settings s;
  char before[HASH_SIZE], after[HASH_SIZE];
  assert_ok(settings_init(&s));
  assert_ok(settings_fingerprint(&s, before));
  assert_ok(settings_set(&s, "reconstruction.width=32"));
  assert_ok(settings_fingerprint(&s, after));
  assert_string_equal(before, after);
  assert_ok(settings_check_model(&s));
  assert_ok(settings_set(&s, "reconstruction.weight=0.5"));
  assert_fails_with(settings_check_model(&s), "needs dropped patches");
  assert_ok(settings_set(&s, "mask_ratio=0.5"));
  assert_ok(settings_check_model(&s));
  assert_ok(settings_set(&s, "mask_mode=zero"));
  assert_fails_with(settings_check_model(&s), "needs dropped patches");
  assert_ok(settings_set(&s, "mask_mode=grid"));
  assert_ok(settings_set(&s, "reconstruction.heads=5"));
  assert_fails_with(settings_check_model(&s), "reconstruction.heads: 5 does not divide");
  assert_ok(settings_set(&s, "reconstruction.width=30"));
  assert_fails_with(settings_check_model(&s), "not a multiple of 4");
  settings_free(&s);
}

/* A classifier reads no text and no pairs: what they are is no part of it, and without classes the
 * rest of its settings is no part of a contrastive run. */
static void a_classifiers_identity_leaves_out_what_it_does_not_read(void **state) {
  (void)state;
  static const char *const unread[] = {"text.width=32", "text.vocabulary=v", "data.train=x.tar",
                                       "embed_dim=32",  "temperature=0.5",   "eval.probe_train=p"};
  static const char *const read[] = {"classification.train=t", "classification.drop_path=0.5",
                                     "image.width=64", "init_from=x", "mask_mode=grid"};
  for (size_t i = 0; i < sizeof unread / sizeof *unread + sizeof read / sizeof *read; i++) {
    bool is_read = i >= sizeof unread / sizeof *unread;
    settings s;
    char before[HASH_SIZE], after[HASH_SIZE];
    assert_ok(settings_init(&s));
    assert_ok(settings_set(&s, "classification.classes=10"));
    assert_ok(settings_fingerprint(&s, before));
    assert_ok(settings_set(&s, is_read ? read[i - sizeof unread / sizeof *unread] : unread[i]));
    assert_ok(settings_fingerprint(&s, after));
    assert_true((strcmp(before, after) != 0) == is_read);
    settings_free(&s);
  }
}

/* What a classifier cannot have is refused by name. */
/* The identity of a run leaves out what runs before it did without saying: were that to change, old
 * runs would get a new meaning. */
static void settings_missing_from_records_keep_their_meaning(void **state) {
  (void)state;
  size_t count, length, at = 0;
  const setting *table = settings_table(&count);
  settings defaults;
  char *text, *rest = NULL;
  assert_ok(settings_init_recorded(&defaults));
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
      fail_msg("runs that do not name %s had %s, and would now have %s: keep the old meaning in "
               "`recorded` of core/config/identity.c",
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

/* The quickstart's run at mask 0, as it was recorded before recipes were counted: 2e-3 and so on
 * are its settings, the hash is the one in results/reference/quickstart-recipe-1/runs.jsonl. */
static void a_run_from_before_this_recipe_keeps_its_identity(void **state) {
  (void)state;
  static const char run[] =
      "text.vocabulary: data/openclipart/vocab.txt\nlearning_rate: 2e-3\nwarmup_samples: 5k\n"
      "data.train: data/openclipart/train-*.tar\nsamples: 60k\n"
      "eval.sets: [experiments/evals/openclipart.yaml, experiments/evals/emoji.yaml]\n";
  char digest[HASH_SIZE], folder[] = "/tmp/flip-settings-XXXXXX", path[64];
  settings before, now, again;
  strbuf record = {0};
  assert_ok(settings_init_recorded(&before));
  apply(&before, run);
  assert_ok(settings_fingerprint(&before, digest));
  assert_string_equal(digest, "e76cabdc382b998ca20281de0f71cfa3");
  assert_int_equal(before.recipe, 1);
  assert_int_equal(before.text_special_tokens, SPECIAL_TOKENS_BOTH);
  assert_int_equal(before.image_normalization, NORMALIZATION_CLIP);
  /* the same words now are another run */
  assert_ok(settings_init(&now));
  apply(&now, run);
  assert_ok(settings_fingerprint(&now, digest));
  assert_string_not_equal(digest, "e76cabdc382b998ca20281de0f71cfa3");
  assert_ok(settings_check(&now));
  /* the config.yaml in its folder names every setting but those that came later */
  settings_write_yaml(&before, &record);
  char *line = strstr(strbuf_string(&record), "recipe: 1\n");
  assert_non_null(line);
  memset(line, ' ', strlen("recipe: 1"));
  line = strstr(strbuf_string(&record), "text.special_tokens: both\n");
  memset(line, ' ', strlen("text.special_tokens: both"));
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/config.yaml", folder);
  assert_ok(fs_write_atomic(path, strbuf_string(&record), record.length));
  assert_ok(settings_load(path, &again));
  assert_ok(settings_fingerprint(&again, digest));
  assert_string_equal(digest, "e76cabdc382b998ca20281de0f71cfa3");
  assert_fails_with(settings_check(&again), "use recipe 1, this version trains with recipe 2");
  unlink(path);
  rmdir(folder);
  strbuf_free(&record);
  settings_free(&before);
  settings_free(&now);
  settings_free(&again);
}

static void fingerprint_of(const char *run, bool is_recorded, char digest[HASH_SIZE]) {
  settings s;
  assert_ok(is_recorded ? settings_init_recorded(&s) : settings_init(&s));
  apply(&s, run);
  assert_ok(settings_fingerprint(&s, digest));
  settings_free(&s);
}

/* Byte-pair runs recorded before captions were repaired did not repair them, and keep their
 * identity; other tokenizers never do, and the setting is no part of theirs. */
static void repair_of_captions_is_part_of_byte_pair_runs_alone(void **state) {
  (void)state;
  static const char canonical[] = "identity: 1\ntext.tokenizer: bpe\n";
  char a[HASH_SIZE], b[HASH_SIZE];
  hash_bytes(canonical, strlen(canonical), a);
  fingerprint_of("text.tokenizer: bpe\n", true, b);
  assert_string_equal(a, b);
  fingerprint_of("text.tokenizer: bpe\ntext.repair: true\n", true, b);
  assert_string_not_equal(a, b);
  fingerprint_of("text.tokenizer: bpe\n", false, a);
  fingerprint_of("text.tokenizer: bpe\ntext.repair: false\n", false, b);
  assert_string_not_equal(a, b);
  for (int i = 0; i < 2; i++) {
    fingerprint_of(i ? "text.tokenizer: bpe_huggingface\n" : "seed: 0\n", false, a);
    fingerprint_of(i ? "text.tokenizer: bpe_huggingface\ntext.repair: false\n"
                     : "text.repair: false\n",
                   false, b);
    assert_string_equal(a, b);
  }
}

static err note_key(void *context, const weights_difference *difference) {
  strbuf_format(context, "%s %s>%s;", difference->key, difference->before, difference->now);
  return NULL;
}

/* Attention of 4 heads has tensors of the same shapes as of 8, and computes something else. */
static void a_decoders_heads_belong_to_its_weights(void **state) {
  (void)state;
  static const struct {
    double before, now;
    const char *wanted;
  } cases[] = {{1, 0.5, "reconstruction.heads 4>8;"}, {0, 1, ""}, {1, 0, ""}, {0, 0, ""}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    settings before, now;
    strbuf seen = {0};
    assert_ok(settings_init(&before));
    assert_ok(settings_init(&now));
    assert_ok(settings_set(&before, "reconstruction.heads=4"));
    assert_ok(settings_set(&now, "reconstruction.heads=8"));
    before.reconstruction_weight = cases[i].before;
    now.reconstruction_weight = cases[i].now;
    assert_ok(weights_compare(&before, &now, OF_WHOLE_MODEL, note_key, &seen));
    assert_string_equal(strbuf_string(&seen), cases[i].wanted);
    assert_ok(weights_compare(&before, &now, OF_IMAGE, note_key, &seen));
    assert_string_equal(strbuf_string(&seen), cases[i].wanted);
    strbuf_free(&seen);
    settings_free(&before);
    settings_free(&now);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(only_what_can_change_a_result_changes_the_fingerprint),
      cmocka_unit_test(an_absent_decoder_is_not_part_of_the_identity),
      cmocka_unit_test(a_classifiers_identity_leaves_out_what_it_does_not_read),
      cmocka_unit_test(settings_missing_from_records_keep_their_meaning),
      cmocka_unit_test(a_run_from_before_this_recipe_keeps_its_identity),
      cmocka_unit_test(a_decoders_heads_belong_to_its_weights),
      cmocka_unit_test(repair_of_captions_is_part_of_byte_pair_runs_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
