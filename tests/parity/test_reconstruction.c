/* The reconstruction against a masked autoencoder in torch: its loss, and the gradients of the
 * decoder and of the image tower. make_reconstruction_fixture.py made the fixture, in double. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "model/clip.h"
#include "model/count.h"
#include "support/ops_reference.h"
#include "train/safetensors.h"

enum { BATCH = 5, VOCABULARY = 7 };

static settings autoencoder_settings(double weight) {
  settings s;
  assert_ok(settings_init(&s));
  s.image_size = 12, s.image_patch = 4, s.image_width = 16, s.image_layers = 2, s.image_heads = 2;
  s.text_length = 3, s.text_width = 8, s.text_layers = 1, s.text_heads = 2, s.embed_dim = 6;
  s.image_activation = ACTIVATION_GELU_ERF;
  s.reconstruction_width = 12, s.reconstruction_layers = 2, s.reconstruction_heads = 3;
  s.batch_size = BATCH, s.eval_batch_size = 3, s.mask_ratio = 0.5;
  s.reconstruction_weight = weight;
  return s;
}

static void load_weights(const safetensors_file *file, clip_model *m) {
  const param_table *table = clip_params(m);
  int loaded = 0;
  for (size_t i = 0; i < table->count; i++) {
    const param *p = &table->items[i];
    char name[96];
    snprintf(name, sizeof name, "weight.%s", p->name);
    const safetensor *t = safetensors_find(file, name);
    if (!t) continue;
    int64_t count = param_elements(p);
    double *values = calloc((size_t)count, sizeof *values);
    assert_int_equal(t->bytes, (size_t)count * sizeof(float));
    for (int64_t j = 0; j < count; j++) values[j] = (double)((const float *)t->data)[j];
    assert_ok(clip_set(m, p, values));
    free(values);
    loaded++;
  }
  assert_int_equal(loaded, 60); /* 12 and four blocks of 12 */
  assert_ok(clip_refresh(m));
}

/* The gradients of the whole loss, a copy, and the reconstruction's part of the loss. */
static double *gradients_of(const safetensors_file *file, double weight, double *loss,
                            param_table *names) {
  settings s = autoencoder_settings(weight);
  clip_config config;
  clip_model *m;
  ops *o;
  double contrastive;
  int32_t ids[BATCH * 3], counts[BATCH];
  for (int i = 0; i < BATCH * 3; i++) ids[i] = i * i % VOCABULARY;
  for (int i = 0; i < BATCH; i++) counts[i] = 3;
  clip_limits limits = model_limits(&s);
  clip_config_from(&s, VOCABULARY, &config);
  assert_ok(ops_create_reference(&o));
  assert_ok(clip_create(o, &config, &limits, true, &m));
  assert_ok(clip_initialise(m, 1));
  load_weights(file, m);
  const clip_inputs inputs = {.count = BATCH,
                              .images = safetensors_find(file, "images")->data,
                              .index = safetensors_find(file, "kept")->data,
                              .ids = ids,
                              .id_counts = counts};
  assert_ok(clip_clear_gradients(m));
  assert_ok(clip_forward(m, &inputs, 0, true));
  assert_ok(clip_loss(m, BATCH, &contrastive));
  assert_ok(clip_backward(m, 0, BATCH));
  assert_ok(clip_read_reconstruction(m, loss));
  size_t total = (size_t)clip_params(m)->total;
  double *gradients = calloc(total, sizeof *gradients);
  memcpy(gradients, clip_weights(m)->gradients.data, total * sizeof *gradients);
  assert_ok(clip_declare(&config, names));
  clip_destroy(m);
  ops_destroy(o);
  settings_free(&s);
  return gradients;
}

/* The contrastive loss' gradients are the same with both weights. All is in double but for the
 * deviations of the pixels, which are floats of the settings: 1e-7. */
static void a_masked_autoencoder_gets_the_same_gradients(void **state) {
  (void)state;
  safetensors_file *file;
  double loss[2];
  param_table names[2] = {{0}, {0}};
  int compared = 0;
  assert_ok(
      safetensors_open(FLIP_SOURCE_DIR "/tests/parity/fixtures/reconstruction.safetensors", &file));
  double *once = gradients_of(file, 1, &loss[0], &names[0]);
  double *twice = gradients_of(file, 2, &loss[1], &names[1]);
  double wanted_loss = ((const double *)safetensors_find(file, "loss")->data)[0];
  assert_true(loss[0] == loss[1]); /* without its weight */
  if (fabs(loss[0] - wanted_loss) > 1e-7 * wanted_loss)
    fail_msg("loss %.12g, torch %.12g", loss[0], wanted_loss);
  for (size_t i = 0; i < names[0].count; i++) {
    const param *p = &names[0].items[i];
    char name[96];
    double difference = 0, size = 0;
    snprintf(name, sizeof name, "gradient.%s", p->name);
    const safetensor *t = safetensors_find(file, name);
    if (!t) continue;
    const double *wanted = t->data;
    for (int64_t j = 0; j < param_elements(p); j++) {
      double ours = twice[p->offset + j] - once[p->offset + j];
      assert_true(isfinite(ours));
      difference = fmax(difference, fabs(ours - wanted[j]));
      size = fmax(size, fabs(wanted[j]));
    }
    if (!(difference <= 1e-6 * size + 1e-12) || size < 1e-6)
      fail_msg("%s: off by %g of %g", p->name, difference, size);
    compared++;
  }
  assert_int_equal(compared, 60);
  for (int i = 0; i < 2; i++) param_table_free(&names[i]);
  free(once);
  free(twice);
  safetensors_close(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_masked_autoencoder_gets_the_same_gradients),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
