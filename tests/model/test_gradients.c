/* The whole model in double precision against central finite differences, and the properties that
 * a masked, chunked, tiled model must have. */
#include "model/fixture.h"

static void flip_gradients_match_finite_differences(void **state) {
  (void)state;
  settings s = small_settings(false);
  check_all_gradients(&s);
  s.image_activation = ACTIVATION_GELU_ERF;
  s.text_pool = TEXT_POOL_MEAN;
  s.mask_mode = MASK_ZERO;
  check_all_gradients(&s);
  settings_free(&s);
}

static void openai_gradients_match_finite_differences(void **state) {
  (void)state;
  settings s = small_settings(true);
  check_all_gradients(&s);
  settings_free(&s);
}

/* Three tokens of five. To `sums` the sizes of the positions' gradients. */
static void add_position_gradients(int positions, double sums[5]) {
  settings s = small_settings(false);
  s.text_mask_mode = TEXT_MASK_PRIORITIZED, s.text_mask_ratio = 0.4;
  s.text_mask_positions = positions;
  assert_int_equal(model_limits(&s).train_words, 3);
  fixture f = make(&s);
  const param *p = param_table_find(clip_params(f.model), "text.positions");
  assert_ok(clip_clear_gradients(f.model));
  assert_ok(clip_forward(f.model, &f.inputs, 0, true));
  double loss;
  assert_ok(clip_loss(f.model, BATCH, &loss));
  assert_ok(clip_backward(f.model, 0, BATCH));
  const double *g = (const double *)clip_weights(f.model)->gradients.data + p->offset;
  for (int64_t i = 0; i < 5 * s.text_width; i++) sums[i / s.text_width] += fabs(g[i]);
  unmake(&f);
  settings_free(&s);
}

static void masked_text_trains_the_positions_that_it_uses(void **state) {
  (void)state;
  double packed[5] = {0}, original[5] = {0};
  add_position_gradients(TEXT_POSITIONS_PACKED, packed);
  add_position_gradients(TEXT_POSITIONS_ORIGINAL, original);
  for (int i = 0; i < 5; i++) {
    assert_true((packed[i] > 0) == (i < 3)); /* the ranks of the kept tokens */
    assert_true(original[i] > 0);            /* their places in the captions */
  }
}

static void masked_text_gradients_match_finite_differences(void **state) {
  (void)state;
  settings s = small_settings(false);
  s.text_mask_mode = TEXT_MASK_RANDOM, s.text_mask_ratio = 0.4;
  check_all_gradients(&s);
  s.text_mask_positions = TEXT_POSITIONS_ORIGINAL;
  check_all_gradients(&s);
  settings_free(&s);
}

static settings summary_settings(void) {
  settings s = small_settings(false);
  s.image_position = POSITION_LEARNED, s.image_pool = IMAGE_POOL_CLASS;
  s.image_activation = s.text_activation = ACTIVATION_GELU_ERF;
  s.image_dropout = 0.2, s.text_dropout = 0.3;
  s.text_post_norm = true, s.text_padding_mask = true;
  s.mask_mode = MASK_ZERO, s.mask_replacement = true;
  s.normalize = false, s.temperature_learned = false, s.loss_direction = LOSS_IMAGE_TO_TEXT;
  s.temperature = 0.5; /* features are not of unit length: a gentler softmax, better differences */
  return s;
}

/* Each difference of the summary's variant alone on FLIP, then all of them together, and with
 * blocks computed again in backward. */
static void the_summarys_differences_match_finite_differences(void **state) {
  (void)state;
  for (int variant = 0; variant < 9; variant++) {
    settings s = small_settings(false);
    s.image_dropout = variant == 0 ? 0.3 : 0;
    s.text_dropout = variant == 1 || variant == 8 ? 0.3 : 0;
    s.text_post_norm = variant == 2 || variant == 8;
    s.text_padding_mask = variant == 3;
    s.loss_direction = variant == 4 ? LOSS_IMAGE_TO_TEXT : LOSS_BOTH;
    s.normalize = variant != 5;
    s.image_patch_bias = variant != 6;
    if (variant == 7) s.mask_mode = MASK_ZERO, s.mask_replacement = true;
    s.temperature = variant == 5 ? 0.5 : s.temperature;
    check_all_gradients(&s);
    settings_free(&s);
  }
  settings s = summary_settings();
  check_all_gradients(&s);
  s.image_recompute = 2, s.text_recompute = 2;
  check_all_gradients(&s);
  s.image_recompute = RECOMPUTE_NORMS, s.text_recompute = RECOMPUTE_ACTIVATIONS;
  check_gradients_chunked(&s, KEPT);
  settings_free(&s);
}

/* 12 x 12 pixels in patches of 4: four of nine are shown. The reference runs the image tower in
 * chunks of 3 and 2 samples and this decoder in chunks of 2. */
static settings reconstruction_settings(bool is_openai) {
  settings s = small_settings(is_openai);
  s.reconstruction_weight = 0.7;
  s.reconstruction_width = 12, s.reconstruction_layers = 2, s.reconstruction_heads = 2;
  return s;
}

static void reconstruction_gradients_match_finite_differences(void **state) {
  (void)state;
  for (int variant = 0; variant < 4; variant++) {
    settings s = reconstruction_settings(variant == 1);
    if (variant == 2) s.image_class_token = false, s.image_dropout = 0.3;
    if (variant == 2) s.reconstruction_width = 24; /* one sample at a time */
    if (variant == 3) s.image_recompute = s.text_recompute = RECOMPUTE_BLOCKS;
    check_all_gradients(&s);
    settings_free(&s);
  }
}

/* Weight 0: no tensor, no memory, and the same weights and losses of all others as with it. */
static void without_its_weight_there_is_no_decoder(void **state) {
  (void)state;
  settings with = reconstruction_settings(false), without = small_settings(false);
  fixture a = make(&with), b = make(&without);
  const param_table *more = clip_params(a.model), *fewer = clip_params(b.model);
  double loss[2], pixels;
  assert_true(more->count > fewer->count);
  for (size_t i = 0; i < fewer->count; i++) {
    double x[64], y[64];
    const param *p = &fewer->items[i], *q = param_table_find(more, p->name);
    assert_non_null(q);
    if (param_elements(p) > 64) continue;
    assert_ok(clip_get(b.model, p, x));
    assert_ok(clip_get(a.model, q, y));
    assert_memory_equal(x, y, (size_t)param_elements(p) * sizeof *x);
  }
  for (size_t i = 0; i < fewer->count; i++)
    assert_null(strstr(fewer->items[i].name, "reconstruction"));
  fixture *both[] = {&a, &b};
  for (int i = 0; i < 2; i++) {
    assert_ok(clip_forward(both[i]->model, &both[i]->inputs, 0, true));
    assert_ok(clip_loss(both[i]->model, BATCH, &loss[i]));
  }
  assert_true(loss[0] == loss[1]);
  assert_ok(clip_read_reconstruction(b.model, &pixels));
  assert_true(isnan(pixels));
  unmake(&a), unmake(&b);
  settings_free(&with), settings_free(&without);
}

static void check_gradient_cache(settings s);

static void a_gradient_cache_gives_the_whole_batch_gradient(void **state) {
  (void)state;
  check_gradient_cache(small_settings(false));
  check_gradient_cache(reconstruction_settings(false));
  check_gradient_cache(summary_settings()); /* dropout's noise is the sample's, not the place's */
}

/* A temperature that is not learned gets no gradient; one that is does. */
static void a_fixed_temperature_gets_no_gradient(void **state) {
  (void)state;
  for (int is_learned = 0; is_learned < 2; is_learned++) {
    settings s = small_settings(false);
    double loss;
    s.temperature_learned = is_learned;
    fixture f = make(&s);
    assert_ok(clip_clear_gradients(f.model));
    assert_ok(clip_forward(f.model, &f.inputs, 0, true));
    assert_ok(clip_loss(f.model, BATCH, &loss));
    const param *p = param_table_find(clip_params(f.model), "logit_scale");
    double gradient = ((double *)clip_weights(f.model)->gradients.data)[p->offset];
    assert_true(is_learned ? fabs(gradient) > 1e-4 : gradient == 0);
    unmake(&f);
    settings_free(&s);
  }
}

static double scale_gradient(fixture *f) {
  double loss;
  assert_ok(clip_clear_gradients(f->model));
  assert_ok(clip_forward(f->model, &f->inputs, 0, true));
  assert_ok(clip_loss(f->model, BATCH, &loss));
  const param *p = param_table_find(clip_params(f->model), "logit_scale");
  return ((double *)clip_weights(f->model)->gradients.data)[p->offset];
}

/* exp(logit_scale) is clipped to [1, logit_scale_max] where it is used: with a scale of 14.3 and a
 * bound of 2, or a scale of 0.1, the loss is that of the bound, a nudge of logit_scale does not
 * move it, and all other gradients are those of the bound's temperature. */
static void a_clipped_scale_acts_as_its_bound(void **state) {
  (void)state;
  static const double temperatures[] = {0.07, 10}, bounds[] = {0.5, 1}, most[] = {2, 100};
  for (int i = 0; i < 2; i++) {
    settings s = small_settings(false);
    double scale;
    s.logit_scale_max = most[i];
    s.temperature = temperatures[i];
    check_all_gradients(&s); /* of logit_scale: 0, as the differences */
    fixture clipped = make(&s);
    assert_ok(clip_logit_scale(clipped.model, &scale));
    assert_true(fabs(scale - 1 / bounds[i]) < 1e-12);
    double loss = loss_of(&clipped);
    double gradient = scale_gradient(&clipped);
    assert_true(gradient == 0);
    const param *p = param_table_find(clip_params(clipped.model), "logit_scale");
    double *weight = (double *)clip_weights(clipped.model)->master.data + p->offset;
    *weight = log(1 / bounds[i]); /* on the bound itself there is a gradient */
    assert_true(fabs(loss_of(&clipped) - loss) < 1e-12);
    assert_true(fabs(scale_gradient(&clipped)) > 1e-4);
    unmake(&clipped);
    settings_free(&s);
  }
}

/* The summary's temperature is what it says, beyond the bounds of a learned one as well. */
static void a_fixed_temperature_is_not_clipped(void **state) {
  (void)state;
  settings s = small_settings(false);
  double scale;
  s.temperature = 5;
  s.temperature_learned = false;
  fixture f = make(&s);
  const param *p = param_table_find(clip_params(f.model), "logit_scale");
  ((double *)clip_weights(f.model)->master.data)[p->offset] = log(1 / 5.0);
  assert_ok(clip_logit_scale(f.model, &scale));
  assert_true(fabs(scale - 0.2) < 1e-12);
  unmake(&f);
  settings_free(&s);
}

/* Padding has no effect: whatever follows a text's end, its embedding is the same. */
static void padding_is_masked_on_request(void **state) {
  (void)state;
  for (int is_masked = 0; is_masked < 2; is_masked++) {
    settings s = small_settings(false);
    float before[BATCH * 6], after[BATCH * 6];
    s.text_padding_mask = is_masked;
    s.text_post_norm = true;
    fixture f = make(&s);
    for (int i = 0; i < BATCH; i++) f.counts[i] = 3;
    assert_ok(clip_embed_texts(f.model, BATCH, f.ids, f.counts, before));
    for (int i = 0; i < BATCH; i++) f.ids[i * s.text_length + 3] ^= 1;
    assert_ok(clip_embed_texts(f.model, BATCH, f.ids, f.counts, after));
    bool is_same = memcmp(before, after, sizeof before) == 0;
    assert_true(is_same == (is_masked == 1));
    unmake(&f);
    settings_free(&s);
  }
}

/* An end token that a caption itself writes out ends it, as in CLIP: what follows is not read. */
static void a_text_ends_at_its_first_end_token(void **state) {
  (void)state;
  enum { END = VOCABULARY - 1 };
  settings s = small_settings(true);
  float whole[BATCH * 6], first[BATCH * 6], later[BATCH * 6];
  fixture f = make(&s);
  for (int i = 0; i < BATCH; i++) {
    const int32_t ids[] = {i, END, i + 1, END, 0};
    memcpy(f.ids + i * s.text_length, ids, sizeof ids);
    f.counts[i] = 2;
  }
  assert_ok(clip_embed_texts(f.model, BATCH, f.ids, f.counts, first));
  for (int i = 0; i < BATCH; i++) f.counts[i] = 4;
  assert_ok(clip_embed_texts(f.model, BATCH, f.ids, f.counts, whole));
  assert_memory_equal(whole, first, sizeof whole);
  for (int i = 0; i < BATCH; i++) f.ids[i * s.text_length + 1] = 5; /* now it goes on to the end */
  assert_ok(clip_embed_texts(f.model, BATCH, f.ids, f.counts, whole));
  for (int i = 0; i < BATCH; i++) f.ids[i * s.text_length + 2] ^= 1;
  assert_ok(clip_embed_texts(f.model, BATCH, f.ids, f.counts, later));
  assert_memory_not_equal(whole, later, sizeof whole);
  unmake(&f);
  settings_free(&s);
}

/* Dropout is for training: evaluation has none, and another seed or sample draws other noise. */
static void dropout_is_in_training_alone(void **state) {
  (void)state;
  settings s = summary_settings();
  float with[BATCH * 6], without[BATCH * 6], images[BATCH * 6], plain[BATCH * 6];
  assert_true(s.image_dropout > 0 && s.text_dropout > 0);
  fixture f = make(&s);
  assert_ok(clip_embed_texts(f.model, BATCH, f.ids, f.counts, with));
  assert_ok(clip_embed_images(f.model, BATCH, f.images, NULL, images));
  double first = loss_of(&f);
  assert_true(loss_of(&f) == first);
  f.inputs.first_sample++;
  assert_true(loss_of(&f) != first);
  unmake(&f);
  s.text_dropout = s.image_dropout = 0;
  f = make(&s);
  assert_ok(clip_embed_texts(f.model, BATCH, f.ids, f.counts, without));
  assert_memory_equal(with, without, sizeof with);
  assert_ok(clip_embed_images(f.model, BATCH, f.images, NULL, plain));
  assert_memory_equal(images, plain, sizeof images);
  assert_true(loss_of(&f) != first);
  unmake(&f);
  settings_free(&s);
}

/* The start of a step: values of the previous step, here NaN, are cleared or overwritten. */
static void begin_over_nan(clip_model *m) {
  const param_table *table = clip_params(m);
  double *gradients = clip_weights(m)->gradients.data;
  assert_ok(clip_begin_gradients(m)); /* the first clears all */
  for (size_t i = 0; i < table->count; i++)
    for (int64_t j = 0; j < param_elements(&table->items[i]); j++)
      gradients[table->items[i].offset + j] = (double)NAN;
  assert_ok(clip_begin_gradients(m));
  const param *fc1 = param_table_find(table, "image.blocks.0.fc1.weight");
  assert_non_null(fc1);
  assert_true(isnan(gradients[fc1->offset])); /* not cleared: nothing would be saved otherwise */
}

static void check_gradient_cache(settings s) {
  fixture whole = make(&s);
  double loss, cached_loss;
  assert_ok(clip_clear_gradients(whole.model));
  assert_ok(clip_forward(whole.model, &whole.inputs, 0, true));
  assert_ok(clip_loss(whole.model, BATCH, &loss));
  assert_ok(clip_backward(whole.model, 0, BATCH));

  s.micro_batch_size = 2; /* 2 + 2 + 1 */
  fixture parts = make(&s);
  int64_t keep = model_limits(&s).train_patches, pixels = s.image_size * s.image_size * 3;
  begin_over_nan(parts.model);
  for (int pass = 0; pass < 2; pass++) {
    for (int64_t at = 0; at < BATCH; at += 2) {
      int64_t n = BATCH - at < 2 ? BATCH - at : 2;
      clip_inputs in = {.count = n,
                        .images = parts.images + at * pixels,
                        .index = parts.index + at * keep,
                        .ids = parts.ids + at * s.text_length,
                        .id_counts = parts.counts + at,
                        .first_sample = 1000 + at};
      assert_ok(clip_forward(parts.model, &in, at, pass == 1));
      if (pass == 1) assert_ok(clip_backward(parts.model, at, n));
    }
    if (pass == 0) assert_ok(clip_loss(parts.model, BATCH, &cached_loss));
  }
  assert_true(fabs(loss - cached_loss) < 1e-12);
  double rebuilt[2];
  assert_ok(clip_read_reconstruction(whole.model, &rebuilt[0]));
  assert_ok(clip_read_reconstruction(parts.model, &rebuilt[1]));
  assert_true(s.reconstruction_weight > 0 ? fabs(rebuilt[0] - rebuilt[1]) < 1e-12
                                          : isnan(rebuilt[0]));
  const double *a = clip_weights(whole.model)->gradients.data;
  const double *b = clip_weights(parts.model)->gradients.data;
  for (int64_t i = 0; i < clip_params(whole.model)->total; i++)
    assert_true(fabs(a[i] - b[i]) < 1e-12 * (1 + fabs(a[i])));
  unmake(&whole);
  unmake(&parts);
  settings_free(&s);
}

static double run_backward(fixture *f) {
  double loss;
  assert_ok(clip_clear_gradients(f->model));
  assert_ok(clip_forward(f->model, &f->inputs, 0, true));
  assert_ok(clip_loss(f->model, BATCH, &loss));
  assert_ok(clip_backward(f->model, 0, BATCH));
  return loss;
}

static void check_same_bits(fixture *a, const settings *s, int64_t chunk_bytes, double loss) {
  fixture b = make_chunked(s, chunk_bytes);
  assert_true(run_backward(&b) == loss);
  assert_memory_equal(clip_weights(b.model)->gradients.data, clip_weights(a->model)->gradients.data,
                      (size_t)clip_params(b.model)->total * sizeof(double));
  unmake(&b);
}

/* The same ops on the same numbers: not one bit may differ, at any level of recomputation, whether
 * outputs of norms and activations are kept or given again by their gradients. */
static void what_is_recomputed_has_the_same_bits(void **state) {
  (void)state;
  for (int variant = 0; variant < 4; variant++) {
    settings s = variant == 1   ? summary_settings() /* post-norm, dropout before the first block */
                 : variant == 2 ? reconstruction_settings(false)
                                : small_settings(true);
    if (variant == 3) s.text_post_norm = true, s.text_dropout = 0.3;
    fixture kept = make_chunked(&s, KEPT), chunked = make(&s);
    const double loss = run_backward(&kept), of_chunks = run_backward(&chunked);
    assert_true(fabs(loss - of_chunks) < 1e-12);
    check_same_bits(&kept, &s, ONE_CHUNK, loss);
    /* from all blocks by name to more than there are */
    const int64_t levels[] = {RECOMPUTE_NORMS, RECOMPUTE_ACTIVATIONS, RECOMPUTE_BLOCKS, 1, 2, 3};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
      s.image_recompute = s.text_recompute = levels[i];
      check_same_bits(&kept, &s, KEPT, loss);
      check_same_bits(&kept, &s, ONE_CHUNK, loss);
      check_same_bits(&chunked, &s, SEVERAL_CHUNKS, of_chunks);
    }
    unmake(&kept);
    unmake(&chunked);
    settings_free(&s);
  }
}

/* Softmax cross-entropy both ways, written out directly on the embeddings. */
static void the_loss_equals_its_definition(void **state) {
  (void)state;
  settings s = small_settings(false);
  s.mask_ratio = 0;
  fixture f = make(&s);
  float image[BATCH * 6], text[BATCH * 6];
  double scale, direct = 0;
  assert_ok(clip_embed_images(f.model, BATCH, f.images, NULL, image));
  assert_ok(clip_embed_texts(f.model, BATCH, f.ids, f.counts, text));
  assert_ok(clip_logit_scale(f.model, &scale));
  for (int i = 0; i < BATCH; i++) {
    double across = 0, down = 0, own = 0;
    for (int j = 0; j < BATCH; j++) {
      double ij = 0, ji = 0;
      for (int d = 0; d < 6; d++) {
        ij += (double)image[i * 6 + d] * (double)text[j * 6 + d];
        ji += (double)image[j * 6 + d] * (double)text[i * 6 + d];
      }
      across += exp(scale * ij);
      down += exp(scale * ji);
      if (i == j) own = scale * ij;
    }
    direct += (log(across) - own + log(down) - own) / (2 * BATCH);
  }
  /* the embeddings came out as floats: 1e-6 of a logit of up to ~14 */
  assert_true(fabs(direct - loss_of(&f)) < 2e-5);
  unmake(&f);
  settings_free(&s);
}

/* The gather is the mask: encoding kept patches equals running the unmasked encoder on nothing but
 * those patches, whatever the dropped pixels hold. */
static void dropped_patches_never_reach_the_encoder(void **state) {
  (void)state;
  settings s = small_settings(false);
  fixture f = make(&s);
  double before = loss_of(&f);
  int64_t side = s.image_size / s.image_patch, keep = model_limits(&s).train_patches;
  int changed = 0;
  for (int64_t image = 0; image < BATCH; image++)
    for (int64_t patch = 0; patch < side * side; patch++) {
      bool is_kept = false;
      for (int64_t k = 0; k < keep; k++) is_kept |= f.index[image * keep + k] == patch;
      if (is_kept) continue;
      changed++;
      for (int64_t y = 0; y < s.image_patch; y++)
        for (int64_t x = 0; x < s.image_patch * 3; x++)
          f.images[((image * s.image_size + patch / side * s.image_patch + y) * s.image_size +
                    patch % side * s.image_patch) *
                       3 +
                   x] ^= 0xFF;
    }
  assert_int_equal(changed, BATCH * (side * side - keep));
  assert_true(loss_of(&f) == before);
  unmake(&f);
  settings_free(&s);
}

/* A pixel is a byte: it moves by whole steps of 1/255, so central differences are good to their
 * second order, about (0.015)² of a smooth score's curvature: 1 % of the largest gradient. */
static void pixel_gradients_match_differences(void **state) {
  (void)state;
  for (int is_openai = 0; is_openai < 2; is_openai++) {
    settings s = small_settings(is_openai);
    s.mask_ratio = 0;
    fixture f = make(&s);
    int64_t count = BATCH, pixels = s.image_size * s.image_size * 3;
    float text[6] = {0.5f, -0.3f, 0.2f, 0.4f, -0.6f, 0.1f};
    float *gradient = malloc(sizeof(float) * (size_t)(count * pixels)), most = 0;
    float *other = malloc(sizeof(float) * (size_t)(count * pixels));
    double score, up, down;
    assert_ok(clip_pixel_gradient(f.model, count, f.images, text, &score, gradient));
    for (int64_t i = 0; i < count * pixels; i++) most = fmaxf(most, fabsf(gradient[i]));
    assert_true(most > 1e-5f);
    for (int probe = 0; probe < 40; probe++) {
      rng r = rng_at(31, RNG_TEST, 0, (uint64_t)probe);
      int64_t at = rng_below(&r, (uint32_t)(count * pixels));
      uint8_t before = f.images[at] < 1 ? 1 : f.images[at] > 254 ? 254 : f.images[at];
      f.images[at] = (uint8_t)(before + 1);
      assert_ok(clip_pixel_gradient(f.model, count, f.images, text, &up, other));
      f.images[at] = (uint8_t)(before - 1);
      assert_ok(clip_pixel_gradient(f.model, count, f.images, text, &down, other));
      f.images[at] = before;
      assert_ok(clip_pixel_gradient(f.model, count, f.images, text, &score, gradient));
      double numeric = (up - down) / (2.0 / 255);
      if (!(fabs(numeric - (double)gradient[at]) <= 0.01 * (double)most))
        fail_msg("pixel %ld: analytic %g, numeric %g, largest %g", (long)at, (double)gradient[at],
                 numeric, (double)most);
    }
    free(gradient);
    free(other);
    unmake(&f);
    settings_free(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(flip_gradients_match_finite_differences),
      cmocka_unit_test(openai_gradients_match_finite_differences),
      cmocka_unit_test(masked_text_trains_the_positions_that_it_uses),
      cmocka_unit_test(masked_text_gradients_match_finite_differences),
      cmocka_unit_test(the_summarys_differences_match_finite_differences),
      cmocka_unit_test(reconstruction_gradients_match_finite_differences),
      cmocka_unit_test(without_its_weight_there_is_no_decoder),
      cmocka_unit_test(a_fixed_temperature_gets_no_gradient),
      cmocka_unit_test(a_clipped_scale_acts_as_its_bound),
      cmocka_unit_test(a_fixed_temperature_is_not_clipped),
      cmocka_unit_test(padding_is_masked_on_request),
      cmocka_unit_test(a_text_ends_at_its_first_end_token),
      cmocka_unit_test(dropout_is_in_training_alone),
      cmocka_unit_test(pixel_gradients_match_differences),
      cmocka_unit_test(a_gradient_cache_gives_the_whole_batch_gradient),
      cmocka_unit_test(what_is_recomputed_has_the_same_bits),
      cmocka_unit_test(the_loss_equals_its_definition),
      cmocka_unit_test(dropped_patches_never_reach_the_encoder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
