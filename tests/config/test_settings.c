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
  assert_ok(settings_fingerprint(&nested, a));
  assert_ok(settings_fingerprint(&dotted, b));
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
  apply(&s, "warmup_epochs: 40\n");
  apply(&s, "warmup_samples: 5k\n");
  assert_true(s.warmup_samples == 5000 && s.warmup_epochs == 0);
  apply(&s, "warmup_epochs: 2\n");
  assert_true(s.warmup_samples == 0 && s.warmup_epochs == 2);
  apply(&s, "learning_rate: 1e-3\n");
  apply(&s, "base_learning_rate: 4e-6\nepochs: 1\n");
  assert_true(s.samples == 0 && s.epochs == 1 && s.learning_rate == 0);
  apply(&s, "learning_rate: 1e-3\nbase_learning_rate: 4e-6\n"); /* as of a file and its profile */
  assert_true(s.learning_rate == 0);
  apply(&s, "base_learning_rate: 4e-6\nlearning_rate: 1e-3\n"); /* as recorded */
  assert_true(s.learning_rate > 0);
  settings_free(&s);
}

static void every_error_of_a_file_is_reported_in_one_pass_with_its_place(void **state) {
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
                 "run.yaml:4:12: mask_mode: 'randm' is not one of random|grid|block|gaussian|zero|"
                 "gaussian_density|block_kept|attentive\n"
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

static void constraints_between_settings_are_checked(void **state) {
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
      {"text.pool=eot", "text.pool: eot needs text.special_tokens: both"},
      {"warmup_epochs=2", NULL},
      {"epoch_samples=255", "epoch_samples: 255 are fewer than one batch_size of 256"},
      {"recipe=1", "recipe: these settings use recipe 1, this version trains with recipe 2"},
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
static void a_classifier_needs_whole_images_and_a_set(void **state) {
  (void)state;
  static const struct {
    const char *change, *message;
  } wrong[] = {
      {"classification.classes=1", "1 leaves nothing to tell apart"},
      {"classification.train=\"\"", "classification.train is empty"},
      {"mask_ratio=0.5", "mask_ratio: 0.5 with classification.classes: 10"},
      {"eval.mask_ratio=0.5", "eval.mask_ratio: 0.5 with classification.classes: 10"},
      {"mask_mode=zero", "mask_mode: zero with classification.classes"},
      {"data.order=stream", "data.order: stream with classification.classes"},
      {"classification.mix_batch=48", "mix_batch: 48 does not divide batch_size 256"},
      {"classification.mix_batch=1", "mix_batch: 1 is odd, and images are mixed in pairs"}};
  for (size_t i = 0; i <= sizeof wrong / sizeof *wrong; i++) {
    settings s;
    assert_ok(settings_init(&s));
    assert_ok(settings_set(&s, "classification.classes=10"));
    assert_ok(settings_set(&s, "classification.train=t.yaml"));
    assert_ok(settings_set(&s, "classification.mixup=0.8"));
    assert_ok(settings_set(&s, "epochs=5"));
    if (i == 0) {
      assert_ok(settings_check(&s));
    } else {
      assert_ok(settings_set(&s, wrong[i - 1].change));
      assert_fails_with(settings_check(&s), wrong[i - 1].message);
    }
    settings_free(&s);
  }
}

/* The loader's groups are those that are mixed. */
static void images_are_mixed_within_their_groups(void **state) {
  (void)state;
  settings s;
  assert_ok(settings_init(&s));
  s.batch_size = 24;
  s.classification_classes = 10;
  assert_int_equal(settings_mirrored(&s, 2), 0); /* nothing is mixed */
  s.classification_cutmix = 1;
  assert_int_equal(settings_mirrored(&s, 1), 0);
  assert_int_equal(settings_mirrored(&s, 2), 24);
  s.classification_mix_batch = 12;
  assert_int_equal(settings_mirrored(&s, 1), 12);
  assert_int_equal(settings_mirrored(&s, 3), 12);
  s.classification_mix_batch = 32; /* more than there are: one group */
  assert_int_equal(settings_mix_batch(&s), 24);
  assert_int_equal(settings_mirrored(&s, 1), 0);
  s.classification_mix_batch = 12;
  s.classification_classes = 0;
  assert_int_equal(settings_mirrored(&s, 3), 0);
  settings_free(&s);
}

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

/* 1,281,167 / 65,536 = 19.5: 19 updates an epoch. */
static void lengths_follow_the_released_codes_rule(void **state) {
  (void)state;
  static const struct {
    const char *run;
    int64_t data, updates, warmup;
  } cases[] = {
      {"epochs: 10000\nwarmup_epochs: 40\nepoch_samples: 1281167\nbatch_size: 65536\n", 0, 190000,
       760},
      {"epochs: 10000\nwarmup_epochs: 200\nepoch_samples: 1281167\nbatch_size: 65536\n", 400000000,
       190000, 3800},
      {"epochs: 2000\nwarmup_epochs: 40\nepoch_samples: 1281167\nbatch_size: 16384\n", 0, 156000,
       3120},
      {"epochs: 0.5\nwarmup_samples: 100\nbatch_size: 10\n", 1010, 51, 10}, /* 50.5, rounded */
      {"epochs: 2\nbatch_size: 10\n", 0, 0, 0},                             /* not known */
      {"samples: 104\nwarmup_samples: 2000\nbatch_size: 10\n", 7, 10, 10},
      {"samples: 1\nbatch_size: 10\n", 7, 1, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    settings s;
    assert_ok(settings_init(&s));
    apply(&s, cases[i].run);
    settings_length length = settings_length_of(&s, cases[i].data);
    assert_int_equal(length.updates, cases[i].updates);
    assert_int_equal(length.warmup, cases[i].warmup);
    settings_free(&s);
  }
}

/* What the presets train is what the released configurations do. */
static void the_presets_are_the_released_recipes(void **state) {
  (void)state;
  static const struct {
    const char *file;
    int64_t updates, warmup, rows;
    int pixels, tokens;
  } presets[] = {
      {"vit_b16_laion400m", 190000, 760, 30523, NORMALIZATION_IMAGENET, SPECIAL_TOKENS_NONE},
      {"vit_l16_laion400m", 190000, 760, 30523, NORMALIZATION_IMAGENET, SPECIAL_TOKENS_NONE},
      {"vit_h14_laion400m", 190000, 3800, 30523, NORMALIZATION_IMAGENET, SPECIAL_TOKENS_NONE},
      {"vit_l16_laion2b", 380000, 760, 30523, NORMALIZATION_IMAGENET, SPECIAL_TOKENS_NONE},
      {"vit_h14_laion2b", 380000, 3800, 30523, NORMALIZATION_IMAGENET, SPECIAL_TOKENS_NONE},
      {"summary", 25000000, 0, 0, NORMALIZATION_CLIP, SPECIAL_TOKENS_BOTH},
      {"clip_vit_b32", 390625, 2000, 0, NORMALIZATION_CLIP, SPECIAL_TOKENS_BOTH},
  };
  for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
    settings s;
    char path[512];
    snprintf(path, sizeof path, FLIP_SOURCE_DIR "/experiments/presets/%s.yaml", presets[i].file);
    assert_ok(settings_load(path, &s));
    assert_ok(settings_check(&s));
    settings_length length = settings_length_of(&s, 0);
    assert_int_equal(length.updates, presets[i].updates);
    assert_int_equal(length.warmup, presets[i].warmup);
    assert_int_equal(s.text_vocabulary_rows, presets[i].rows);
    assert_int_equal(s.image_normalization, presets[i].pixels);
    assert_int_equal(s.text_special_tokens, presets[i].tokens);
    settings_free(&s);
  }
}

static void base_files_are_overridden_and_cycles_are_rejected(void **state) {
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
static void yaml_scalars_follow_version_1_2(void **state) {
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
  assert_ok(settings_fingerprint(&s, a));
  assert_ok(settings_fingerprint(&plain, b));
  assert_string_equal(a, b);
  settings_free(&s);
  settings_free(&plain);
  assert_refused("clip_norm: null\n",
                 "run.yaml:1:12: clip_norm: null is not allowed; remove the key to use its "
                 "default\n    1 | clip_norm: null\n      |            ^~~~");
  assert_refused("data.flip: yes\n",
                 "run.yaml:1:12: data.flip: 'yes' is not true or false (a boolean in YAML 1.1, a "
                 "string in 1.2)\n    1 | data.flip: yes\n      |            ^~~");
  assert_refused("image: {width: 64}\nimage.width: 32\n",
                 "run.yaml:2:1: image.width is given twice, nested and dotted (first on line 1)\n"
                 "    2 | image.width: 32\n      | ^~~~~~~~~~~");
}

static void merge_keys_add_missing_keys(void **state) {
  (void)state;
  settings s;
  yml_document *document;
  static const char *const wrong[][2] = {
      {"<<: 3\n", "run.yaml:1:5: '<<' takes a map"},
      {"<<: [{a: 1}, b]\n", "'<<' takes a map"},
      {"a: {<<: {b: 1}, <<: {c: 1}}\n", "key '<<' is given twice"},
      {"a:\n\tb: 1\n", "run.yaml:2:1: tab character"},
      {"a: \"x\\0y\"\n", "run.yaml:1:4: NUL character"}};
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
      cmocka_unit_test(every_error_of_a_file_is_reported_in_one_pass_with_its_place),
      cmocka_unit_test(yaml_that_is_no_yaml_is_refused_with_its_place),
      cmocka_unit_test(constraints_between_settings_are_checked),
      cmocka_unit_test(the_canonical_form_reads_back_as_itself),
      cmocka_unit_test(only_what_can_change_a_result_changes_the_fingerprint),
      cmocka_unit_test(an_absent_decoder_is_not_part_of_the_identity),
      cmocka_unit_test(a_classifiers_identity_leaves_out_what_it_does_not_read),
      cmocka_unit_test(a_classifier_needs_whole_images_and_a_set),
      cmocka_unit_test(images_are_mixed_within_their_groups),
      cmocka_unit_test(settings_missing_from_records_keep_their_meaning),
      cmocka_unit_test(a_run_from_before_this_recipe_keeps_its_identity),
      cmocka_unit_test(repair_of_captions_is_part_of_byte_pair_runs_alone),
      cmocka_unit_test(lengths_follow_the_released_codes_rule),
      cmocka_unit_test(the_presets_are_the_released_recipes),
      cmocka_unit_test(yaml_scalars_follow_version_1_2),
      cmocka_unit_test(merge_keys_add_missing_keys),
      cmocka_unit_test(base_files_are_overridden_and_cycles_are_rejected),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
