/* Odd inputs against what Pillow, transformers, open_clip and torch make of them: fixtures/inputs,
 * made by make_inputs_fixture.py. */
#include "support/test.h"

#include <stdlib.h>

#include "base/fs.h"
#include "convert/weights.h"
#include "image/image.h"
#include "eval/topk.h"
#include "support/folder.h"

#define FIXTURES FLIP_SOURCE_DIR "/tests/parity/fixtures/inputs/"
enum { SIDE = 32 };
/* Of 3072 values. Pillow 13 resizes some tall images from top to bottom first, earlier ones always
 * from left to right as we do: at hard edges what is cut between the passes differs in a few. */
enum { MOST_DIFFERENT = 20 };

static char *text_of(const char *bytes, int32_t size) {
  char *text = calloc(1, (size_t)size + 1);
  memcpy(text, bytes, (size_t)size);
  return text;
}

/* How many values are more than one grey level apart. */
static int differences(const uint8_t *a, const uint8_t *b, int count) {
  int different = 0;
  for (int i = 0; i < count; i++) different += abs(a[i] - b[i]) > 1;
  return different;
}

static void images_are_prepared_as_the_model_that_was_loaded_asks(void **state) {
  (void)state;
  char *data;
  size_t length, at = 0;
  int cases = 0;
  assert_ok(fs_read(FIXTURES "prepared.bin", &data, &length));
  while (at < length) {
    int32_t h[4];
    settings s;
    image picture;
    int64_t vocabulary;
    uint8_t out[SIDE * SIDE * 3];
    memcpy(h, data + at, sizeof h);
    at += sizeof h;
    char *model = text_of(data + at, h[1]), *preprocessor = text_of(data + at + h[1], h[2]);
    const char *file = data + at + h[1] + h[2];
    assert_ok(settings_init(&s));
    assert_ok(weights_read_config((weights_format)h[0], model, h[2] ? preprocessor : NULL, &s,
                                  &vocabulary));
    const image_preparation how = image_preparation_of(&s);
    assert_ok(image_decode(file, (size_t)h[3], 0, &picture));
    assert_ok(image_prepare(&picture, &how, out));
    int different = differences(out, (const uint8_t *)file + h[3], SIDE * SIDE * 3);
    if (different > MOST_DIFFERENT)
      fail_msg("%d x %d under %s %s: %d values differ", picture.width, picture.height, model,
               preprocessor, different);
    at += (size_t)(h[1] + h[2] + h[3] + SIDE * SIDE * 3);
    cases++;
    image_free(&picture);
    settings_free(&s);
    free(model);
    free(preprocessor);
  }
  assert_true(cases > 60);
  free(data);
}

static void equal_scores_come_out_in_torchs_order(void **state) {
  (void)state;
  char *text;
  size_t length;
  int cases = 0;
  assert_ok(fs_read(FIXTURES "topk.txt", &text, &length));
  for (char *rest = text, *line; (line = strsep(&rest, "\n")) && *line; cases++) {
    long count = strtol(line, &line, 10), k = strtol(line, &line, 10);
    topk_entry *entries = calloc((size_t)count, sizeof *entries);
    for (long i = 0; i < count; i++)
      entries[i] = (topk_entry){(float)strtol(line, &line, 10), (int32_t)i};
    topk_select(entries, count, k);
    for (long i = 0; i < k; i++) {
      long wanted = strtol(line, &line, 10);
      if (entries[i].index != wanted)
        fail_msg("place %ld of %ld scores is %d, torch's is %ld (line %d)", i, count,
                 entries[i].index, wanted, cases + 1);
    }
    free(entries);
  }
  assert_true(cases > 300);
  free(text);
}

static void pictures_are_read_and_refused_as_pillow_does(void **state) {
  (void)state;
  char *data;
  size_t length, at = 0;
  int cases = 0, refused = 0;
  assert_ok(fs_read(FIXTURES "pictures.bin", &data, &length));
  while (at < length) {
    int32_t h[4];
    image picture;
    memcpy(h, data + at, sizeof h);
    at += sizeof h;
    char *name = text_of(data + at, h[0]);
    const char *file = data + at + h[0];
    err error = image_decode(file, (size_t)h[1], 0, &picture);
    if (!error != (h[2] > 0)) fail_msg("%s: %s", name, error ? err_message(error) : "is read");
    if (!error) {
      assert_int_equal(picture.width, h[2]);
      assert_int_equal(picture.height, h[3]);
      int count = h[2] * h[3] * 3;
      int different = differences(picture.pixels, (const uint8_t *)file + h[1], count);
      if (different) fail_msg("%s: %d of %d values differ", name, different, count);
      image_free(&picture);
    }
    refused += error != NULL;
    err_free(error);
    at += (size_t)(h[0] + h[1] + h[2] * h[3] * 3);
    cases++;
    free(name);
  }
  assert_true(cases > 60 && refused > 20);
  free(data);
}

/* What a foreign preparation asks for and ours cannot do is refused, by name. */
static void other_preparations_are_refused_by_name(void **state) {
  (void)state;
  static const struct {
    const char *preprocessor, *part;
  } cases[] = {
      {"{\"resample\":1}", "resample: only 2 (bilinear) and 3 (bicubic)"},
      {"{\"do_center_crop\":false}", "do_center_crop: false"},
      {"{\"do_rescale\":false}", "do_rescale: false is not supported"},
      {"{\"rescale_factor\":0.5}", "rescale_factor: 0.5 is not supported"},
      {"{\"do_resize\":false}", "do_resize: false is not supported"},
      {"{\"size\":{\"longest_edge\":224}}", "size: only N"},
      {"{\"size\":{\"height\":224,\"width\":200}}", "size: only N"},
      {"{\"size\":200}", "size: 200 is smaller than crop_size 224"},
      {"{\"crop_size\":200}", "crop_size: 200, but the model takes images of 224"},
      {"{\"do_pad\":true}", "do_pad: true is not supported"},
      {"{\"antialias\":false}", "antialias: false is not supported"},
      {"{\"image_processor_type\":\"BlipImageProcessor\"}", "'BlipImageProcessor' is not one"},
      {"{\"crop_pct\":0.9}", "crop_pct: is an unknown key"},
      {"{\"image_mean\":[0.1,0.2,0.3],\"image_std\":[1,1,1]}", "image_mean, image_std"},
      {"{\"image_mean\":0.5}", "image_mean, image_std"}, /* CLIP's deviation */
      {"{\"image_mean\":[0.5],\"image_std\":0.5}", "image_mean: expected three numbers, or one"},
      {"{\"image_mean\":0.5,\"image_std\":\"0.5\"}", "image_std: expected three numbers"}};
  settings s;
  int64_t vocabulary;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_ok(settings_init(&s));
    assert_fails_with(weights_read_config(WEIGHTS_HF, "{\"model_type\":\"clip\"}",
                                          cases[i].preprocessor, &s, &vocabulary),
                      cases[i].part);
    settings_free(&s);
  }
  assert_ok(settings_init(&s));
  assert_ok(weights_read_config(WEIGHTS_HF, "{\"model_type\":\"clip\"}",
                                "{\"image_processor\":{\"do_normalize\":false,\"resample\":2}}", &s,
                                &vocabulary));
  assert_int_equal(s.image_normalization, NORMALIZATION_NONE);
  assert_int_equal(s.image_interpolation, INTERPOLATION_BILINEAR);
  assert_int_equal(s.image_crop, CROP_FLOOR);
  settings_free(&s);
  assert_ok(settings_init(&s)); /* one number is of all channels, as in open_clip and torchvision */
  assert_ok(weights_read_config(WEIGHTS_HF, "{\"model_type\":\"clip\"}",
                                "{\"image_mean\":0.5,\"image_std\":0.5}", &s, &vocabulary));
  assert_int_equal(s.image_normalization, NORMALIZATION_INCEPTION);
  settings_free(&s);
}

/* text_config_dict and vision_config_dict of old configurations go before the parts that are named
 * as today, defaults and all; a configuration without projection_dim has 512. */
static void configurations_of_other_ages_are_read(void **state) {
  (void)state;
  settings s;
  int64_t vocabulary;
  assert_ok(settings_init(&s));
  assert_ok(weights_read_config(
      WEIGHTS_HF,
      "{\"model_type\":\"clip\",\"text_config\":{\"hidden_size\":64,\"vocab_size\":7},"
      "\"text_config_dict\":{\"hidden_size\":768,\"num_attention_heads\":12},"
      "\"vision_config_dict\":{\"hidden_size\":1024,\"patch_size\":14},\"vision_config\":null}",
      NULL, &s, &vocabulary));
  assert_int_equal(s.text_width, 768);
  assert_int_equal(s.text_heads, 12);
  assert_int_equal(vocabulary, 49408);
  assert_int_equal(s.image_width, 1024);
  assert_int_equal(s.image_patch, 14);
  assert_int_equal(s.embed_dim, 512);
  settings_free(&s);
}

#define MODEL FLIP_SOURCE_DIR "/tests/parity/fixtures/models/hf_quick_gelu/"
#define WORDS "text_model.embeddings.token_embedding.weight"

static void write_named(const char *folder, const char *name, const void *bytes, size_t size) {
  char *path = fs_join(folder, name);
  assert_ok(fs_write_atomic(path, bytes, size));
  free(path);
}

/* The fixture's tensors in two files with an index, its word embeddings `padding` rows longer. */
static void write_shards(const char *folder, int64_t padding) {
  static const char *const names[] = {"model-00001-of-00002.safetensors",
                                      "model-00002-of-00002.safetensors"};
  safetensors_file *file;
  strbuf index = {0};
  float *words = NULL;
  assert_ok(safetensors_open(MODEL "model.safetensors", &file));
  size_t count = safetensors_count(file);
  safetensor *list = calloc(count, sizeof *list);
  strbuf_append(&index, "{\"metadata\":{},\"weight_map\":{");
  for (size_t i = 0; i < count; i++) {
    list[i] = *safetensors_at(file, i);
    strbuf_format(&index, "%s\"%s\":\"%s\"", i ? "," : "", list[i].name, names[i >= count / 2]);
    if (strcmp(list[i].name, WORDS) != 0) continue;
    size_t row = list[i].bytes / (size_t)list[i].shape[0];
    words = calloc(1, list[i].bytes + (size_t)padding * row);
    memcpy(words, list[i].data, list[i].bytes);
    list[i].data = words;
    list[i].bytes += (size_t)padding * row;
    list[i].shape[0] += padding;
  }
  strbuf_append(&index, "}}");
  for (int half = 0; half < 2; half++) {
    char *path = fs_join(folder, names[half]);
    size_t first = half ? count / 2 : 0, end = half ? count : count / 2;
    assert_ok(safetensors_write(path, list + first, end - first, NULL, 0, false, NULL));
    free(path);
  }
  write_named(folder, "model.safetensors.index.json", index.data, index.length);
  strbuf_free(&index);
  free(words);
  free(list);
  safetensors_close(file);
}

/* A copy of the fixture's configuration with `from` in it replaced. */
static void write_config(const char *folder, const char *from, const char *to) {
  char *text;
  size_t length;
  strbuf changed = {0};
  assert_ok(fs_read(MODEL "config.json", &text, &length));
  char *at = strstr(text, from);
  if (!at) fail_msg("no %s in the fixture's configuration", from);
  strbuf_append_bytes(&changed, text, (size_t)(at - text));
  strbuf_append(&changed, to);
  strbuf_append(&changed, at + strlen(from));
  write_named(folder, "config.json", changed.data, changed.length);
  strbuf_free(&changed);
  free(text);
}

static void a_padded_model_in_shards_is_the_same_model(void **state) {
  (void)state;
  char folder[] = "/tmp/flip-inputs-XXXXXX", from[64], to[64];
  const char *const whole_path[] = {MODEL}, *const path[] = {folder};
  weights whole, padded;
  assert_non_null(mkdtemp(folder));
  assert_ok(weights_load(whole_path, 1, NULL, 0, &whole));
  snprintf(from, sizeof from, "\"vocab_size\": %ld", (long)whole.vocabulary);
  snprintf(to, sizeof to, "\"vocab_size\": %ld", (long)whole.vocabulary + 64);
  write_shards(folder, 64);
  write_config(folder, from, to);
  assert_ok(weights_load(path, 1, NULL, 0, &padded));
  assert_true(padded.is_padded);
  assert_int_equal(padded.vocabulary, whole.vocabulary + 64);
  assert_int_equal(padded.table.total, whole.table.total + 64 * whole.s.text_width);
  for (size_t i = 0; i < whole.table.count; i++) {
    const param *p = &whole.table.items[i], *q = param_table_find(&padded.table, p->name);
    assert_memory_equal(whole.values + p->offset, padded.values + q->offset,
                        (size_t)param_elements(p) * sizeof(float));
  }
  weights_free(&padded);
  /* an index that names a file where the tensor is not */
  static const char wrong[] = "{\"weight_map\":{\"x\":\"model-00001-of-00002.safetensors\"}}";
  write_named(folder, "model.safetensors.index.json", wrong, sizeof wrong - 1);
  assert_fails_with(weights_load(path, 1, NULL, 0, &padded),
                    "tensor 'x' is not in model-00001-of-00002.safetensors");
  weights_free(&whole);
  folder_remove(folder);
}

/* As get_image_processor_dict of transformers 5: the nested one goes first, for both models. */
static void a_processors_images_go_before_the_older_file(void **state) {
  (void)state;
  static const char older[] = "{\"do_normalize\":false,\"size\":24,\"crop_size\":24}";
  static const struct {
    const char *processor;
    int normalization;
  } cases[] = {{"{\"image_processor\":{\"image_mean\":[0.5,0.5,0.5],\"image_std\":[0.5,0.5,0.5],"
                "\"size\":24,\"crop_size\":24},\"processor_class\":\"CLIPProcessor\"}",
                NORMALIZATION_INCEPTION},
               {"{\"image_processor\":null}", NORMALIZATION_NONE},
               {"{\"processor_class\":\"CLIPProcessor\"}", NORMALIZATION_NONE}};
  static const char *const models[] = {"hf_quick_gelu", "vit"};
  for (size_t model = 0; model < 2; model++) {
    char folder[] = "/tmp/flip-inputs-XXXXXX", command[512];
    const char *const path[] = {folder};
    weights w;
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command, "cp %s/tests/parity/fixtures/models/%s/* %s", FLIP_SOURCE_DIR,
             models[model], folder);
    assert_int_equal(system(command), 0);
    write_named(folder, "preprocessor_config.json", older, sizeof older - 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
      write_named(folder, "processor_config.json", cases[i].processor, strlen(cases[i].processor));
      assert_ok(weights_load(path, 1, NULL, 0, &w));
      assert_int_equal(w.s.image_normalization, cases[i].normalization);
      weights_free(&w);
    }
    write_named(folder, "processor_config.json", "{", 1);
    assert_fails_with(weights_load(path, 1, NULL, 0, &w), "processor_config.json: is not JSON");
    folder_remove(folder);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(images_are_prepared_as_the_model_that_was_loaded_asks),
      cmocka_unit_test(equal_scores_come_out_in_torchs_order),
      cmocka_unit_test(pictures_are_read_and_refused_as_pillow_does),
      cmocka_unit_test(other_preparations_are_refused_by_name),
      cmocka_unit_test(a_processors_images_go_before_the_older_file),
      cmocka_unit_test(configurations_of_other_ages_are_read),
      cmocka_unit_test(a_padded_model_in_shards_is_the_same_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
