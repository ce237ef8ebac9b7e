/* Models of transformers and open_clip against our own: the same weights, images and tokens give
 * the same embeddings, logits, loss and gradients. make_model_fixtures.py made the fixtures. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "convert/weights.h"
#include "model/count.h"
#include "support/folder.h"
#include "support/open_cpu.h"

#define FIXTURES FLIP_SOURCE_DIR "/tests/parity/fixtures/models/"

/* fp32 sums in another order: a relative error of 1e-4 is required; of gradients, which pass
 * through twice as many sums, 1e-3. Relative to the largest of the tensor, since single elements
 * may be near zero. */
static const double embedding_bound = 1e-4, gradient_bound = 1e-3;

typedef struct {
  weights w;
  ops *o;
  clip_model *model;
  clip_inputs inputs;
  int32_t *index;
  safetensors_file *expected;
  int64_t embed;
} fixture;

static const void *data_of(const fixture *f, const char *name) {
  const safetensor *t = safetensors_find(f->expected, name);
  if (!t) fail_msg("the fixture has no %s", name);
  return t->data;
}

static fixture open_fixture(const char *name) {
  fixture f = {0};
  char path[512];
  snprintf(path, sizeof path, FIXTURES "%s", name);
  const char *const paths[] = {path};
  assert_ok(weights_load(paths, 1, NULL, 0, &f.w));
  snprintf(path, sizeof path, FIXTURES "%s/expected.safetensors", name);
  assert_ok(safetensors_open(path, &f.expected));
  int64_t count = safetensors_find(f.expected, "images")->shape[0];
  f.w.s.batch_size = f.w.s.eval_batch_size = count;
  clip_config config;
  clip_limits limits = model_limits(&f.w.s);
  clip_config_from(&f.w.s, f.w.vocabulary, &config);
  assert_ok(open_on_cpu((ops_request){.compute = OPS_F32}, &f.o));
  assert_ok(clip_create(f.o, &config, &limits, true, &f.model));
  assert_ok(weights_into(&f.w, f.model));
  f.embed = config.image.embed;
  f.index = calloc((size_t)(count * config.patches), sizeof *f.index);
  for (int64_t i = 0; i < count * config.patches; i++) f.index[i] = (int32_t)(i % config.patches);
  f.inputs = (clip_inputs){.count = count,
                           .images = data_of(&f, "images"),
                           .index = f.index,
                           .ids = data_of(&f, "ids"),
                           .id_counts = data_of(&f, "counts")};
  return f;
}

static void close_fixture(fixture *f) {
  clip_destroy(f->model);
  ops_destroy(f->o);
  weights_free(&f->w);
  safetensors_close(f->expected);
  free(f->index);
}

static void assert_close(const float *ours, const float *theirs, int64_t count, double bound,
                         const char *model, const char *what) {
  double most = 0, worst = 0;
  for (int64_t i = 0; i < count; i++) {
    double difference = fabs((double)ours[i] - (double)theirs[i]);
    if (isnan(difference)) fail_msg("%s: %s is not a number at %ld", model, what, (long)i);
    worst = fmax(worst, difference);
    most = fmax(most, fabs((double)theirs[i]));
  }
  assert_true(most > 0);
  if (!(worst <= bound * most))
    fail_msg("%s: %s differs by %.3g of a largest %.3g", model, what, worst, most);
}

/* The encoder's output, projected by hand and normalised, is their embedding. */
static void check_encoder_output(const fixture *f, const char *name) {
  const param *p = param_table_find(clip_params(f->model), "image.projection.weight");
  const float *weight = (const float *)clip_weights(f->model)->master.data + p->offset;
  const int64_t n = f->inputs.count, d = f->embed, width = clip_get_config(f->model)->image.width;
  float *output = calloc((size_t)(n * width), 4), *projected = calloc((size_t)(n * d), 4);
  clip_take_encoder_output(f->model, true);
  assert_int_equal(clip_image_features(f->model), width);
  assert_ok(clip_embed_images(f->model, n, f->inputs.images, NULL, output));
  clip_take_encoder_output(f->model, false);
  for (int64_t i = 0; i < n; i++) {
    double row[256] = {0}, square = 0;
    assert_true(d <= 256);
    for (int64_t k = 0; k < d; k++)
      for (int64_t j = 0; j < width; j++)
        row[k] += (double)output[i * width + j] * (double)weight[k * width + j];
    for (int64_t k = 0; k < d; k++) square += row[k] * row[k];
    for (int64_t k = 0; k < d; k++) projected[i * d + k] = (float)(row[k] / sqrt(square));
  }
  assert_close(projected, data_of(f, "image"), n * d, embedding_bound, name,
               "the encoder's output");
  free(output);
  free(projected);
}

static void check_embeddings(const fixture *f, const char *name) {
  int64_t n = f->inputs.count, d = f->embed;
  double scale;
  float *image = calloc((size_t)(n * d), 4), *text = calloc((size_t)(n * d), 4),
        *logits = calloc((size_t)(n * n), 4);
  assert_ok(clip_embed_images(f->model, n, f->inputs.images, NULL, image));
  check_encoder_output(f, name);
  assert_ok(clip_embed_texts(f->model, n, f->inputs.ids, f->inputs.id_counts, text));
  assert_ok(clip_logit_scale(f->model, &scale));
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++)
      for (int64_t k = 0; k < d; k++)
        logits[i * n + j] += (float)scale * image[i * d + k] * text[j * d + k];
  assert_close(image, data_of(f, "image"), n * d, embedding_bound, name, "the image embedding");
  assert_close(text, data_of(f, "text"), n * d, embedding_bound, name, "the text embedding");
  assert_close(logits, data_of(f, "logits"), n * n, embedding_bound, name, "a logit");
  free(image);
  free(text);
  free(logits);
}

static void check_gradients(const fixture *f, const char *name) {
  double loss;
  char path[512];
  safetensors_file *file;
  const param_table *table = clip_params(f->model);
  float *theirs = calloc((size_t)table->total, 4);
  bool *is_found = calloc(table->count, sizeof *is_found);
  assert_ok(clip_clear_gradients(f->model));
  assert_ok(clip_forward(f->model, &f->inputs, 0, true));
  assert_ok(clip_loss(f->model, f->inputs.count, &loss));
  assert_ok(clip_backward(f->model, 0, f->inputs.count));
  float ours = (float)loss;
  assert_close(&ours, data_of(f, "loss"), 1, embedding_bound, name, "the loss");
  snprintf(path, sizeof path, FIXTURES "%s/gradients.safetensors", name);
  assert_ok(safetensors_open(path, &file));
  assert_ok(weights_read_tensors(file, f->w.format, table, theirs, is_found));
  safetensors_close(file);
  const float *gradients = clip_weights(f->model)->gradients.data;
  for (size_t i = 0; i < table->count; i++) {
    const param *p = &table->items[i];
    if (!is_found[i]) fail_msg("%s: no gradient of %s to compare with", name, p->name);
    assert_close(gradients + p->offset, theirs + p->offset, param_elements(p), gradient_bound, name,
                 p->name);
  }
  free(theirs);
  free(is_found);
}

static void whole_models_compute_what_their_libraries_do(void **state) {
  (void)state;
  static const char *const names[] = {"hf_quick_gelu", "hf_gelu_half", "open_clip_gelu",
                                      "open_clip_variant", "open_clip_eos"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    fixture f = open_fixture(names[i]);
    check_embeddings(&f, names[i]);
    check_gradients(&f, names[i]);
    close_fixture(&f);
  }
}

/* The identity as projection, features compared as they are: the model's embeddings are the towers'
 * outputs themselves. */
static void take_projections_away(weights *w) {
  static const char *const names[] = {"image.projection.weight", "text.projection.weight"};
  for (int i = 0; i < 2; i++) {
    const param *p = param_table_find(&w->table, names[i]);
    assert_int_equal(p->rows, p->columns);
    for (int64_t j = 0; j < param_elements(p); j++)
      w->values[p->offset + j] = j % (p->columns + 1) == 0;
  }
}

static const char *const tower_paths[] = {FIXTURES "vit", FIXTURES "bert"};

/* BERT and ViT as one model under the summary's loss; dropout off, as the fixtures were made. */
static fixture open_towers(void) {
  static const char *const sets[] = {"embed_dim=24",    "text.length=10",
                                     "normalize=false", "loss_direction=image_to_text",
                                     "temperature=5",   "temperature_learned=false"};
  fixture f = {.embed = 24};
  assert_ok(weights_load(tower_paths, 2, sets, 6, &f.w));
  assert_true(f.w.s.text_post_norm && f.w.s.text_padding_mask && f.w.s.text_dropout == 0.1);
  assert_true(f.w.s.image_dropout == 0.1);
  f.w.s.text_dropout = f.w.s.image_dropout = 0;
  f.w.s.batch_size = f.w.s.eval_batch_size = 5;
  take_projections_away(&f.w);
  clip_config config;
  clip_limits limits = model_limits(&f.w.s);
  clip_config_from(&f.w.s, f.w.vocabulary, &config);
  assert_ok(open_on_cpu((ops_request){.compute = OPS_F32}, &f.o));
  assert_ok(clip_create(f.o, &config, &limits, true, &f.model));
  assert_ok(weights_into(&f.w, f.model));
  f.index = calloc(5 * 9, sizeof *f.index);
  for (int i = 0; i < 5 * 9; i++) f.index[i] = i % 9;
  return f;
}

/* Every tensor of one tower; returns how many. */
static size_t compare_tower_gradients(const fixture *f, const char *folder, weights_format format) {
  char path[512];
  size_t compared = 0;
  safetensors_file *file;
  const param_table *table = clip_params(f->model);
  const float *gradients = clip_weights(f->model)->gradients.data;
  float *theirs = calloc((size_t)table->total, 4);
  bool *is_found = calloc(table->count, sizeof *is_found);
  snprintf(path, sizeof path, "%s/gradients.safetensors", folder);
  assert_ok(safetensors_open(path, &file));
  assert_ok(weights_read_tensors(file, format, table, theirs, is_found));
  for (size_t i = 0; i < table->count; i++) {
    const param *p = &table->items[i];
    if (!is_found[i]) continue;
    compared++;
    /* the last norm's bias moves all logits of an image alike, which softmax does not see */
    bool is_zero = strcmp(p->name, "text.blocks.2.norm2.bias") == 0;
    if (!is_zero)
      assert_close(gradients + p->offset, theirs + p->offset, param_elements(p), gradient_bound,
                   folder, p->name);
    for (int64_t j = 0; is_zero && j < param_elements(p); j++)
      assert_true(fabsf(gradients[p->offset + j]) < 1e-6f); /* rounding of numbers below 1 */
  }
  safetensors_close(file);
  free(theirs);
  free(is_found);
  return compared;
}

static void towers_compute_what_their_libraries_do(void **state) {
  (void)state;
  safetensors_file *image, *text, *wanted;
  float out[5 * 24], ours;
  double loss;
  fixture f = open_towers();
  assert_ok(safetensors_open(FIXTURES "vit/expected.safetensors", &image));
  assert_ok(safetensors_open(FIXTURES "bert/expected.safetensors", &text));
  assert_ok(safetensors_open(FIXTURES "bert/loss.safetensors", &wanted));
  f.inputs = (clip_inputs){.count = 5,
                           .images = safetensors_find(image, "images")->data,
                           .index = f.index,
                           .ids = safetensors_find(text, "ids")->data,
                           .id_counts = safetensors_find(text, "counts")->data};
  assert_ok(clip_embed_images(f.model, 5, f.inputs.images, NULL, out));
  assert_close(out, safetensors_find(image, "output")->data, 5 * 24, embedding_bound, "vit",
               "the class token");
  clip_take_encoder_output(f.model, true);
  assert_ok(clip_embed_images(f.model, 5, f.inputs.images, NULL, out));
  clip_take_encoder_output(f.model, false);
  assert_close(out, safetensors_find(image, "output")->data, 5 * 24, embedding_bound, "vit",
               "the encoder's output");
  assert_ok(clip_embed_texts(f.model, 5, f.inputs.ids, f.inputs.id_counts, out));
  assert_close(out, safetensors_find(text, "output")->data, 5 * 24, embedding_bound, "bert",
               "[CLS]");
  assert_ok(clip_clear_gradients(f.model));
  assert_ok(clip_forward(f.model, &f.inputs, 0, true));
  assert_ok(clip_loss(f.model, 5, &loss));
  assert_ok(clip_backward(f.model, 0, 5));
  ours = (float)loss;
  assert_close(&ours, safetensors_find(wanted, "loss")->data, 1, embedding_bound, "both", "loss");
  assert_int_equal(compare_tower_gradients(&f, tower_paths[0], WEIGHTS_VIT), 4 + 2 * 12 + 2);
  assert_int_equal(compare_tower_gradients(&f, tower_paths[1], WEIGHTS_BERT), 2 + 3 * 12 + 2);
  safetensors_close(image);
  safetensors_close(text);
  safetensors_close(wanted);
  close_fixture(&f);
}

/* Their file to ours to theirs: every tensor of a fp32 model comes back with its bits. */
static void a_round_trip_keeps_every_bit(void **state) {
  (void)state;
  static const struct {
    const char *name, *tensors;
    weights_format format;
  } cases[] = {{"hf_quick_gelu", "model.safetensors", WEIGHTS_HF},
               {"open_clip_gelu", "open_clip_model.safetensors", WEIGHTS_OPEN_CLIP},
               {"open_clip_eos", "open_clip_model.safetensors", WEIGHTS_OPEN_CLIP}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char folder[] = "/tmp/flip-models-XXXXXX", own[64], back[64], path[512];
    weights w;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, FIXTURES "%s", cases[i].name);
    snprintf(own, sizeof own, "%s/own.safetensors", folder);
    snprintf(back, sizeof back, "%s/back", folder);
    const char *const first[] = {path}, *const second[] = {own};
    assert_ok(weights_load(first, 1, NULL, 0, &w));
    assert_ok(weights_save(own, WEIGHTS_FLIP, &w));
    const int64_t end = w.end_of_text;
    weights_free(&w);
    assert_ok(weights_load(second, 1, NULL, 0, &w));
    assert_int_equal(w.format, WEIGHTS_FLIP);
    assert_int_equal(w.end_of_text, end);
    assert_ok(weights_save(back, cases[i].format, &w));
    weights_free(&w);

    safetensors_file *before, *after;
    snprintf(path, sizeof path, FIXTURES "%s/%s", cases[i].name, cases[i].tensors);
    assert_ok(safetensors_open(path, &before));
    snprintf(path, sizeof path, "%s/%s", back, cases[i].tensors);
    assert_ok(safetensors_open(path, &after));
    assert_int_equal(safetensors_count(before), safetensors_count(after));
    for (size_t t = 0; t < safetensors_count(before); t++) {
      const safetensor *a = safetensors_at(before, t), *b = safetensors_find(after, a->name);
      assert_non_null(b);
      assert_int_equal(a->rank, b->rank);
      assert_memory_equal(a->shape, b->shape, sizeof a->shape);
      assert_memory_equal(a->data, b->data, a->bytes);
    }
    safetensors_close(before);
    safetensors_close(after);
    /* and the configuration that was written describes the same model */
    const char *const third[] = {back};
    assert_ok(weights_load(third, 1, NULL, 0, &w));
    assert_int_equal(w.format, cases[i].format);
    if (end > 0) assert_int_equal(w.end_of_text, end);
    weights_free(&w);
    folder_remove(folder);
  }
}

/* The shapes that people publish, by the parameter counts that PyTorch gives them. */
static void published_shapes_have_their_parameter_counts(void **state) {
  (void)state;
#define OPEN_CLIP(vision, text, embed)                                                             \
  "{\"model_cfg\":{\"embed_dim\":" embed ",\"vision_cfg\":{\"image_size\":224," vision             \
  "},\"text_cfg\":{\"context_length\":77,\"vocab_size\":49408," text "}}}"
  static const struct {
    const char *config;
    weights_format format;
    int64_t parameters;
  } cases[] = {
      {OPEN_CLIP("\"layers\":12,\"width\":768,\"patch_size\":32",
                 "\"width\":512,\"heads\":8,\"layers\":12", "512"),
       WEIGHTS_OPEN_CLIP, 151277313},
      {OPEN_CLIP("\"layers\":12,\"width\":768,\"patch_size\":16",
                 "\"width\":512,\"heads\":8,\"layers\":12", "512"),
       WEIGHTS_OPEN_CLIP, 149620737},
      {OPEN_CLIP("\"layers\":24,\"width\":1024,\"patch_size\":14",
                 "\"width\":768,\"heads\":12,\"layers\":12", "768"),
       WEIGHTS_OPEN_CLIP, 427616513},
      {OPEN_CLIP("\"layers\":32,\"width\":1280,\"head_width\":80,\"patch_size\":14",
                 "\"width\":1024,\"heads\":16,\"layers\":24", "1024"),
       WEIGHTS_OPEN_CLIP, 986109441},
      /* transformers' defaults are ViT-B/32's */
      {"{\"model_type\":\"clip\",\"text_config\":{},\"vision_config\":{}}", WEIGHTS_HF, 151277313},
      {"{\"model_type\":\"clip\",\"projection_dim\":768,\"text_config\":{\"hidden_size\":768,"
       "\"intermediate_size\":3072,\"num_attention_heads\":12},\"vision_config\":{\"hidden_size\":"
       "1024,\"intermediate_size\":4096,\"num_hidden_layers\":24,\"num_attention_heads\":16,"
       "\"patch_size\":14}}",
       WEIGHTS_HF, 427616513},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    settings s;
    int64_t vocabulary = 0;
    model_counts counts;
    assert_ok(settings_init(&s));
    assert_ok(weights_read_config(cases[i].format, cases[i].config, NULL, &s, &vocabulary));
    assert_int_equal(vocabulary, 49408);
    assert_ok(model_count(&s, vocabulary, OPS_F32, 0, &counts));
    assert_int_equal(counts.parameters_total, cases[i].parameters);
    settings_free(&s);
  }
}

/* The summary's towers: BERT's token types are folded into its positions, and ours have a
 * projection of their own. */
static void published_towers_have_their_parameter_counts(void **state) {
  (void)state;
  enum { EMBED = 512 };
#define LARGE                                                                                      \
  "\"hidden_size\":1024,\"num_hidden_layers\":24,\"num_attention_heads\":16,"                      \
  "\"intermediate_size\":4096"
  static const struct {
    const char *config;
    weights_format format;
    int64_t width, parameters, types;
  } cases[] = {{"{\"model_type\":\"bert\"}", WEIGHTS_BERT, 768, 108891648, 2 * 768},
               {"{\"model_type\":\"bert\"," LARGE "}", WEIGHTS_BERT, 1024, 334092288, 2 * 1024},
               {"{\"model_type\":\"vit\"}", WEIGHTS_VIT, 768, 85798656, 0},
               {"{\"model_type\":\"vit\"," LARGE "}", WEIGHTS_VIT, 1024, 303301632, 0},
               {"{\"model_type\":\"vit\",\"hidden_size\":1280,\"num_hidden_layers\":32,"
                "\"num_attention_heads\":16,\"intermediate_size\":5120,\"patch_size\":14}",
                WEIGHTS_VIT, 1280, 630764800, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    settings s;
    int64_t vocabulary = 30522;
    model_counts counts;
    assert_ok(settings_init(&s));
    s.embed_dim = EMBED;
    assert_ok(weights_read_config(cases[i].format, cases[i].config, NULL, &s, &vocabulary));
    assert_ok(model_count(&s, vocabulary, OPS_F32, 0, &counts));
    int64_t ours =
        cases[i].format == WEIGHTS_BERT ? counts.parameters_text : counts.parameters_image;
    assert_int_equal(ours - EMBED * cases[i].width, cases[i].parameters - cases[i].types);
    settings_free(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whole_models_compute_what_their_libraries_do),
      cmocka_unit_test(towers_compute_what_their_libraries_do),
      cmocka_unit_test(a_round_trip_keeps_every_bit),
      cmocka_unit_test(published_shapes_have_their_parameter_counts),
      cmocka_unit_test(published_towers_have_their_parameter_counts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
