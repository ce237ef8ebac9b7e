/* Run settings: YAML with positions, layers, limits. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "apply.h"
#include "config/settings.h"

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

/* Lists, shards and patterns are often written so; the parser's own words name no remedy. */
static void a_value_that_needs_quotes_is_shown_with_them(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"seed: 1\ndata.train: @l.txt\n", "\n    2 | data.train: @l.txt\n"
                                        "      |             ^~~~~~ quote it: \"@l.txt\""},
      {"data.train: {0000..0009}.tar\n", "\n    1 | data.train: {0000..0009}.tar\n"
                                         "      |             ^~~~~~~~~~~~~~~~ quote it: "
                                         "\"{0000..0009}.tar\""},
      {"data.train: [a, *.tar]\n", "^~~~~ quote it: \"*.tar\""},
      {"data.train: *all.tar\n", "^~~~~~~~ quote it: \"*all.tar\""},
      {"data.train: %x\n", "^~ quote it: \"%x\""},
      {"{data.train: `x`, seed: 1}\n", "^~~ quote it: \"`x`\""},
      {"{0..9}.tar", "^~~~~~~~~~ quote it: \"{0..9}.tar\""}, /* of --set */
      {"data.train: \"a\" b\n", "\n    1 | data.train: \"a\" b\n      |                 ^"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    yml_document *document;
    assert_fails_with(yml_parse("run.yaml", cases[i][0], strlen(cases[i][0]), &document),
                      cases[i][1]);
  }
}

/* What follows ` #` would be lost without a word: another run would be started from. */
static void a_comment_in_an_assignment_is_refused(void **state) {
  (void)state;
  static const char *const refused[] = {
      "init_from=run #2", "init_from=#2",        "init_from= #2",    "init_from=ä #2",
      "seed=3 # of many", "eval.sets=[a, b] #c", "init_from='a' #b", "init_from=|\n  a\n # b"};
  static const struct {
    const char *assignment, *value;
  } taken[] = {{"init_from=\"run #2\"", "run #2"},
               {"init_from='#2'", "#2"},
               {"init_from=run#2", "run#2"},
               {"init_from=\"ää #2\"", "ää #2"},
               {"init_from=\"a # \\x23\" ", "a # #"},
               {"init_from=", ""},
               {"init_from=  ", ""}};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    settings s;
    assert_ok(settings_init(&s));
    assert_fails_with(settings_set(&s, refused[i]),
                      "'#' begins a YAML comment here: quote the value, ");
    settings_free(&s);
  }
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    settings s;
    assert_ok(settings_init(&s));
    assert_ok(settings_set(&s, taken[i].assignment));
    assert_string_equal(s.init_from, taken[i].value);
    settings_free(&s);
  }
}

static void a_group_of_settings_takes_a_map(void **state) {
  (void)state;
  assert_refused("image:\n",
                 "run.yaml:1:1: image is a group of settings: give a map (image: {size: …}), or "
                 "remove it\n    1 | image:\n      | ^~~~~");
  assert_refused("text: 3\n",
                 "run.yaml:1:1: text is a group of settings: give a map (text: {width: …}), or "
                 "remove it\n    1 | text: 3\n      | ^~~~");
}

/* 64 patches, of which a mask keeps some and drops some, by more than one score. */
static void a_mask_has_patches_to_keep_and_to_drop(void **state) {
  (void)state;
  static const char *const changes[][2] = {
      {"mask_ratio: 0.984375\n", NULL},
      {"mask_ratio: 0.99\n", "mask_ratio: 0.99 leaves 0 of 64 patches"},
      {"mask_ratio: 0.5\nreconstruction.weight: 1\n", NULL},
      {"image.size: 8\nreconstruction.weight: 1\n", "needs dropped patches to predict"},
      {"mask_ratio: 0.5\nmask_mode: attentive\nattentive.cell: 4\n", NULL},
      {"mask_ratio: 0.5\nmask_mode: attentive\nattentive.cell: 8\n",
       "attentive.cell: 8 gives all patches one score"},
      {"mask_ratio: 0.5\nmask_mode: attentive\nattentive.size: 8\n",
       "attentive.size: 8 gives all patches one score"}};
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    settings s;
    assert_ok(settings_init(&s));
    apply(&s, "text.vocabulary: v.txt\ndata.train: a.tar\nsamples: 1000\n");
    apply(&s, changes[i][0]);
    err error = settings_check(&s);
    if (changes[i][1])
      assert_fails_with(error, changes[i][1]);
    else
      assert_ok(error);
    settings_free(&s);
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

/* Characters that end a line in YAML, or that a file may not have, would make a checkpoint that
 * cannot be read, or that names other files. */
static void any_text_is_written_so_that_it_reads_back(void **state) {
  (void)state;
  static const struct {
    const char *text, *written;
  } cases[] = {{"a\rb", "\"a\\rb\""},
               {"a\ab", "\"a\\x07b\""},
               {"a\x7f", "\"a\\x7F\""},
               {"a\xc2\x85"
                "b",
                "\"a\\x85b\""},
               {"a\xc2\x9f", "\"a\\x9F\""},
               {"a\xe2\x80\xa8"
                "b",
                "\"a\\u2028b\""},
               {"a\xe2\x80\xa9"
                "b",
                "\"a\\u2029b\""},
               {"\xef\xbb\xbfvocab.txt", "\"\\uFEFFvocab.txt\""},
               {"a\xef\xbf\xbe", "\"a\\uFFFE\""},
               {"\r\"\\ \n\t", "\"\\r\\\"\\\\ \\n\\t\""},
               {"a\xc2\xa0\xf0\x9f\x98\x80", "a\xc2\xa0\xf0\x9f\x98\x80"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    settings s, again;
    strbuf text = {0}, scalar = {0};
    assert_ok(settings_init(&s));
    assert_ok(settings_init(&again));
    assert_ok(settings_set_text(&s, "init_from", cases[i].text));
    assert_ok(settings_set_texts(&s, "eval.sets", &cases[i].text, 1));
    yml_write_scalar(&scalar, cases[i].text);
    assert_string_equal(strbuf_string(&scalar), cases[i].written);
    settings_write_yaml(&s, &text);
    apply(&again, strbuf_string(&text));
    assert_string_equal(again.init_from, cases[i].text);
    assert_string_equal(again.eval_sets.items[0], cases[i].text);
    strbuf_free(&text);
    strbuf_free(&scalar);
    settings_free(&s);
    settings_free(&again);
  }
}

/* Bytes that are not UTF-8 have no form in YAML: the run would train, and its checkpoint be
 * unreadable. */
static void a_text_that_is_not_utf8_is_refused(void **state) {
  (void)state;
  settings s;
  const char *latin[] = {"a", "mod\xe8le"};
  const char *message = ": 'mod\\xE8le' is not UTF-8, in which settings are recorded: rename";
  assert_ok(settings_init(&s));
  assert_fails_with(settings_set_text(&s, "init_from", latin[1]), message);
  assert_fails_with(settings_set_texts(&s, "eval.sets", latin, 2), message);
  assert_fails_with(settings_set_text(&s, "eval.sets", latin[1]), message);
  assert_fails_with(settings_set(&s, "init_from=mod\xe8le"), message);
  settings_free(&s);
}

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

/* Otherwise found by the first evaluation, which may come after the whole training. */
static void what_cannot_be_computed_is_refused_before_training(void **state) {
  (void)state;
  static const struct {
    const char *changes[3], *message; /* of 8 x 8 patches */
  } cases[] = {{{"eval.views=complementary"},
                "eval.views: complementary views need eval.mask_ratio above 0"},
               {{"eval.views=complementary", "eval.mask_ratio=0.7"},
                "eval.views: 64 patches do not divide into views of 19 (eval.mask_ratio 0.7)"},
               {{"eval.views=complementary", "eval.mask_ratio=0.75"}, NULL},
               {{"eval.mask_ratio=0.99"}, "eval.mask_ratio: 0.99 leaves 0 of 64 patches"},
               {{"mask_ratio=0.99"}, "mask_ratio: 0.99 leaves 0 of 64 patches"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    settings s;
    assert_ok(settings_init(&s));
    assert_ok(settings_set(&s, "image.size=64"));
    assert_ok(settings_set(&s, "image.patch=8"));
    for (int k = 0; k < 3 && cases[i].changes[k]; k++)
      assert_ok(settings_set(&s, cases[i].changes[k]));
    if (cases[i].message)
      assert_fails_with(settings_check_step(&s), cases[i].message);
    else
      assert_ok(settings_check_step(&s));
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
      {"samples: 105\nbatch_size: 10\n", 7, 11, 0},
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
  /* of a file that includes itself twice at each level, not each of 2^16 ways is followed */
  assert_ok(fs_write_atomic("self.yaml", "base: [self.yaml, self.yaml]\n", 29));
  err error = settings_load("self.yaml", &s);
  const char *first = strstr(err_message(error), "bases nest deeper");
  assert_non_null(first);
  assert_null(strstr(first + 1, "bases nest deeper"));
  err_free(error);
  static const char *const names[] = {"base.yaml", "run.yaml", "a.yaml", "b.yaml", "self.yaml"};
  for (size_t i = 0; i < 5; i++) unlink(names[i]);
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
      cmocka_unit_test(a_value_that_needs_quotes_is_shown_with_them),
      cmocka_unit_test(a_comment_in_an_assignment_is_refused),
      cmocka_unit_test(a_group_of_settings_takes_a_map),
      cmocka_unit_test(any_text_is_written_so_that_it_reads_back),
      cmocka_unit_test(a_text_that_is_not_utf8_is_refused),
      cmocka_unit_test(a_mask_has_patches_to_keep_and_to_drop),
      cmocka_unit_test(constraints_between_settings_are_checked),
      cmocka_unit_test(the_canonical_form_reads_back_as_itself),
      cmocka_unit_test(what_cannot_be_computed_is_refused_before_training),
      cmocka_unit_test(a_classifier_needs_whole_images_and_a_set),
      cmocka_unit_test(images_are_mixed_within_their_groups),
      cmocka_unit_test(lengths_follow_the_released_codes_rule),
      cmocka_unit_test(the_presets_are_the_released_recipes),
      cmocka_unit_test(yaml_scalars_follow_version_1_2),
      cmocka_unit_test(merge_keys_add_missing_keys),
      cmocka_unit_test(base_files_are_overridden_and_cycles_are_rejected),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
