/* What files of transformers and open_clip, or our own, cannot hold or do not fit: refused by name,
 * or described. The fixtures are those of test_models.c. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "convert/weights.h"
#include "support/folder.h"

#define FIXTURES FLIP_SOURCE_DIR "/tests/parity/fixtures/models/"

static void assert_config_refused(weights_format format, const char *json, const char *part) {
  settings s;
  int64_t vocabulary;
  assert_ok(settings_init(&s));
  assert_fails_with(weights_read_config(format, json, NULL, &s, &vocabulary), part);
  settings_free(&s);
}

static void what_the_model_cannot_do_is_refused_by_name(void **state) {
  (void)state;
  assert_config_refused(WEIGHTS_HF, "{", "not JSON");
  assert_config_refused(WEIGHTS_HF, "[]", "config: is missing or not an object");
  assert_config_refused(WEIGHTS_HF, "{\"model_type\":\"siglip\"}", "\"siglip\" is not supported");
  assert_config_refused(WEIGHTS_HF, "{\"vision_config\":[]}", "vision_config: is missing");
  assert_config_refused(WEIGHTS_HF, "{\"text_config\":{\"hidden_size\":-4}}",
                        "text_config.hidden_size");
  assert_config_refused(WEIGHTS_HF, "{\"text_config\":{\"hidden_act\":\"relu\"}}",
                        "text_config.hidden_act: 'relu'");
  assert_config_refused(WEIGHTS_OPEN_CLIP,
                        "{\"text_cfg\":{},\"vision_cfg\":{\"ls_init_value\":0.1}}",
                        "vision_cfg.ls_init_value");
  assert_config_refused(WEIGHTS_OPEN_CLIP, "{\"text_cfg\":{\"hf_model_name\":\"x\"}}",
                        "text_cfg.hf_model_name: is an unknown key");
  static const char *const tokenizers[][2] = {
      {"\"tokenizer_mode\":\"clips\"", "text_cfg.tokenizer_mode: \"clips\" is not supported"},
      {"\"tokenizer_kwargs\":{\"clean\":\"canonicalize\"}",
       "text_cfg.tokenizer_kwargs.clean: \"canonicalize\" is not supported, only \"lower\""},
      {"\"tokenizer_kwargs\":{\"reduction_mask\":\"syntax\"}", "tokenizer_kwargs.reduction_mask"},
      {"\"tokenizer_kwargs\":{\"strip_sep_token\":true}", "strip_sep_token: is an unknown key"}};
  for (size_t i = 0; i < sizeof tokenizers / sizeof *tokenizers; i++) {
    char json[256];
    snprintf(json, sizeof json, "{\"text_cfg\":{%s},\"vision_cfg\":{}}", tokenizers[i][0]);
    assert_config_refused(WEIGHTS_OPEN_CLIP, json, tokenizers[i][1]);
  }
  assert_config_refused(WEIGHTS_OPEN_CLIP,
                        "{\"text_cfg\":{},\"vision_cfg\":{\"pool_type\":\"avg\"}}",
                        "vision_cfg.pool_type");
  assert_config_refused(WEIGHTS_OPEN_CLIP,
                        "{\"model_cfg\":{\"text_cfg\":{},\"vision_cfg\":{}},\"preprocess_cfg\":"
                        "{\"mean\":[0.4,0.4,0.4],\"std\":[0.229,0.224,0.225]}}",
                        "normalisation");
}

static void a_tokenizers_defaults_may_be_spelled_out(void **state) {
  (void)state;
  static const char *const defaults[] = {"null", "{}", "{\"clean\":\"lower\"}",
                                         "{\"clean\":\"lower\",\"reduction_mask\":\"\"}"};
  for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
    settings s;
    int64_t vocabulary;
    char json[256];
    snprintf(json, sizeof json,
             "{\"text_cfg\":{\"tokenizer_mode\":null,\"tokenizer_kwargs\":%s},\"vision_cfg\":{}}",
             defaults[i]);
    assert_ok(settings_init(&s));
    assert_ok(weights_read_config(WEIGHTS_OPEN_CLIP, json, NULL, &s, &vocabulary));
    settings_free(&s);
  }
}

/* FLIP's own architecture has no place in the others' files; each says what is in the way. */
static void what_a_format_cannot_hold_is_refused_by_name(void **state) {
  (void)state;
  char folder[] = "/tmp/flip-models-XXXXXX";
  weights w;
  assert_non_null(mkdtemp(folder));
  const char *const path[] = {FIXTURES "open_clip_variant"};
  assert_ok(weights_load(path, 1, NULL, 0, &w));
  assert_fails_with(weights_save(folder, WEIGHTS_HF, &w), "image.pre_norm");
  w.s.image_pool = IMAGE_POOL_MEAN;
  assert_fails_with(weights_save(folder, WEIGHTS_OPEN_CLIP, &w), "image.pool");
  weights_free(&w);

  /* a patch bias is written when it is zero and refused when it is not */
  weights own = {0};
  const char *const hf[] = {FIXTURES "hf_quick_gelu"};
  char file[64];
  snprintf(file, sizeof file, "%s/x.safetensors", folder);
  assert_ok(weights_load(hf, 1, NULL, 0, &w));
  assert_ok(settings_copy(&w.s, &own.s));
  own.s.image_patch_bias = true;
  own.vocabulary = w.vocabulary;
  own.table = (param_table){0};
  clip_config config;
  clip_config_from(&own.s, own.vocabulary, &config);
  assert_ok(clip_declare(&config, &own.table));
  own.values = calloc((size_t)own.table.total, 4);
  assert_ok(weights_save(folder, WEIGHTS_HF, &own));
  own.values[param_table_find(&own.table, "image.patch.bias")->offset + 5] = 1e-20f;
  assert_fails_with(weights_save(folder, WEIGHTS_HF, &own), "image.patch.bias is not zero");
  weights_free(&own);
  weights_free(&w);
  folder_remove(folder);
}

/* Each of the two files is told apart. */
static void the_file_that_is_damaged_is_named(void **state) {
  (void)state;
  settings s;
  int64_t vocabulary;
  assert_ok(settings_init(&s));
  assert_fails_with(weights_read_config(WEIGHTS_HF, "{}", "{", &s, &vocabulary),
                    "preprocessor_config.json beside it is not JSON");
  assert_fails_with(weights_read_config(WEIGHTS_HF, "{", "{}", &s, &vocabulary), "is not JSON");
  settings_free(&s);
}

static float scale_of(const weights *w) {
  return w->values[param_table_find(&w->table, "logit_scale")->offset];
}

/* Other libraries use the logit scale as it is: one that comes from them stays, by way of our own
 * format too. A run's was clipped where its loss used it, and is written so. */
static void the_logit_scale_is_the_one_that_was_used(void **state) {
  (void)state;
  char folder[] = "/tmp/flip-models-XXXXXX", path[64];
  const char *const fixture[] = {FIXTURES "hf_quick_gelu"}, *const saved[] = {path};
  static const float scales[] = {5.0f, -0.5f};
  assert_non_null(mkdtemp(folder));
  for (int i = 0; i < 2; i++) {
    weights w, own, again;
    assert_ok(weights_load(fixture, 1, NULL, 0, &w));
    w.values[param_table_find(&w.table, "logit_scale")->offset] = scales[i];
    snprintf(path, sizeof path, "%s/own.safetensors", folder);
    assert_ok(weights_save(path, WEIGHTS_FLIP, &w));
    assert_ok(weights_load(saved, 1, NULL, 0, &own));
    for (int is_of_run = 0; is_of_run < 2; is_of_run++) {
      assert_true(scale_of(&own) == scales[i]);
      assert_false(own.is_of_run);
      own.is_of_run = is_of_run;
      snprintf(path, sizeof path, "%s/hf%d%d", folder, i, is_of_run);
      assert_ok(weights_save(path, WEIGHTS_HF, &own));
      own.is_of_run = false;
      assert_ok(weights_load(saved, 1, NULL, 0, &again));
      const float used = i ? 0.0f : (float)log(100);
      assert_true(scale_of(&again) == (is_of_run ? used : scales[i]));
      weights_free(&again);
    }
    weights_free(&own);
    weights_free(&w);
  }
  folder_remove(folder);
}

/* The libraries' own croppings and cleanings are not in the files: a change of them is told. */
static void what_a_file_changes_without_a_key_is_described(void **state) {
  (void)state;
  static const struct {
    const char *name;
    weights_format format;
    int changes;
  } cases[] = {{"hf_quick_gelu", WEIGHTS_HF, 0},
               {"hf_quick_gelu", WEIGHTS_FLIP, 0},
               {"hf_quick_gelu", WEIGHTS_OPEN_CLIP, 2},
               {"open_clip_gelu", WEIGHTS_OPEN_CLIP, 0},
               {"open_clip_gelu", WEIGHTS_HF, 2}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    weights w;
    strbuf remarks = {0};
    char path[512];
    int lines = 0;
    snprintf(path, sizeof path, FIXTURES "%s", cases[i].name);
    const char *const paths[] = {path};
    assert_ok(weights_load(paths, 1, NULL, 0, &w));
    weights_describe_changes(cases[i].format, &w, &remarks);
    for (size_t at = 0; at < remarks.length; at++) lines += remarks.data[at] == '\n';
    if (lines != cases[i].changes)
      fail_msg("%s as format %d: %s", cases[i].name, (int)cases[i].format, strbuf_string(&remarks));
    strbuf_clear(&remarks);
    w.s.image_resize_mode = RESIZE_SQUASH; /* nothing is cropped */
    w.s.image_resize_to = 0;
    w.s.text_repair = false;
    w.s.text_tokenizer = TOKENIZER_BPE;
    weights_describe_changes(WEIGHTS_OPEN_CLIP, &w, &remarks);
    assert_int_equal(strncmp(strbuf_string(&remarks), "text.repair: open_clip repairs", 30), 0);
    strbuf_free(&remarks);
    weights_free(&w);
  }
}

/* A copy of a fixture's tensors with one changed. */
static void write_changed(const char *folder, const char *name, const safetensor *changed,
                          const char *extra) {
  char path[512];
  safetensors_file *file;
  safetensor list[128];
  size_t count = 0;
  assert_ok(safetensors_open(FIXTURES "hf_quick_gelu/model.safetensors", &file));
  for (size_t i = 0; i < safetensors_count(file); i++) {
    const safetensor *t = safetensors_at(file, i);
    if (strcmp(t->name, name) != 0)
      list[count++] = *t;
    else if (changed)
      list[count++] = *changed;
  }
  if (extra) {
    list[count] = list[0];
    snprintf(list[count++].name, sizeof list[0].name, "%s", extra);
  }
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  assert_ok(safetensors_write(path, list, count, NULL, 0, false, NULL));
  safetensors_close(file);
}

static void files_that_do_not_fit_their_configuration_are_refused(void **state) {
  (void)state;
  char folder[] = "/tmp/flip-models-XXXXXX", command[256];
  static const int64_t numbers[16 * 16];
  const char *const path[] = {folder};
  weights w;
  assert_non_null(mkdtemp(folder));
  snprintf(command, sizeof command, "cp " FIXTURES "hf_quick_gelu/config.json %s", folder);
  assert_int_equal(system(command), 0);
  const char *name = "text_model.encoder.layers.1.self_attn.k_proj.weight";
  safetensor t = {.type = "I64", .rank = 2, .shape = {16, 16}, .data = numbers, .bytes = 2048};
  snprintf(t.name, sizeof t.name, "%s", name);
  write_changed(folder, name, &t, NULL);
  assert_fails_with(weights_load(path, 1, NULL, 0, &w), "has type I64");
  memcpy(t.type, "F32", 4);
  t.shape[0] = 8, t.shape[1] = 32, t.bytes = 1024; /* as many elements, another shape */
  write_changed(folder, name, &t, NULL);
  assert_fails_with(weights_load(path, 1, NULL, 0, &w),
                    "is 8x32, its configuration requires 16x16");
  t.shape[0] = 17, t.shape[1] = 16, t.bytes = 17 * 64;
  write_changed(folder, name, &t, NULL);
  assert_fails_with(weights_load(path, 1, NULL, 0, &w), "is 17x16");
  write_changed(folder, name, NULL, NULL);
  assert_fails_with(weights_load(path, 1, NULL, 0, &w), "k_proj.weight' is missing");
  write_changed(folder, "", NULL, "vision_model.encoder.layers.2.layer_norm1.bias");
  assert_fails_with(weights_load(path, 1, NULL, 0, &w), "does not belong to the model");
  write_changed(folder, "", NULL, "text_model.embeddings.position_ids"); /* old files have it */
  assert_ok(weights_load(path, 1, NULL, 0, &w));
  weights_free(&w);
  /* a configuration that would take all memory is refused before any is taken */
  char file[64];
  static const char *const hostile[] = {"\"num_hidden_layers\":9999999", "\"hidden_size\":9999999",
                                        "\"image_size\":9999999"};
  snprintf(file, sizeof file, "%s/config.json", folder);
  for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
    char json[128];
    snprintf(json, sizeof json, "{\"text_config\":{},\"vision_config\":{%s}}", hostile[i]);
    assert_ok(fs_write_atomic(file, json, strlen(json)));
    assert_fails_with(weights_load(path, 1, NULL, 0, &w), "9999999 is outside");
  }
  folder_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_the_model_cannot_do_is_refused_by_name),
      cmocka_unit_test(a_tokenizers_defaults_may_be_spelled_out),
      cmocka_unit_test(what_a_format_cannot_hold_is_refused_by_name),
      cmocka_unit_test(the_file_that_is_damaged_is_named),
      cmocka_unit_test(the_logit_scale_is_the_one_that_was_used),
      cmocka_unit_test(what_a_file_changes_without_a_key_is_described),
      cmocka_unit_test(files_that_do_not_fit_their_configuration_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
