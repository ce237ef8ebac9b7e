/* FLOPs and parameters against counts done by hand for the paper's models. */
#include "support/test.h"

#include <math.h>

#include "model/count.h"

static settings paper(int64_t width, int64_t layers, int64_t heads, int64_t text_width,
                      int64_t text_heads, int64_t embed, double mask_ratio) {
  settings s;
  assert_ok(settings_init(&s));
  s.image_size = 224, s.image_patch = 16, s.image_width = width, s.image_layers = layers;
  s.image_heads = heads, s.text_width = text_width, s.text_layers = 12, s.text_heads = text_heads;
  s.embed_dim = embed, s.mask_ratio = mask_ratio, s.batch_size = 64;
  return s;
}

static void vit_b16_counts_as_by_hand(void **state) {
  (void)state;
  settings s = paper(768, 12, 12, 512, 8, 512, 0);
  model_counts c;
  assert_ok(model_count(&s, 30523, OPS_F32, 0, &c));
  /* image: 196 patches of 768 pixels to width 768, 197 tokens; a block 24 n w² + 4 n² w */
  double embed = 2.0 * 196 * 768 * 768;
  double blocks = 12 * (24.0 * 197 * 768 * 768 + 4.0 * 197 * 197 * 768);
  double head = 2.0 * 768 * 512;
  assert_true(fabs(c.forward_image - (embed + blocks + head)) < 1);
  assert_true(fabs(c.forward_image - 35126906880.0) < 1); /* 35.13 GFLOP: 17.6 GMAC, as published */
  double text = 12 * (24.0 * 32 * 512 * 512 + 4.0 * 32 * 32 * 512) + 2.0 * 512 * 512;
  assert_true(fabs(c.forward_text - text) < 1);
  assert_true(fabs(c.train_sample - 3 * (c.forward_image + c.forward_text)) < 1);
  /* the logits of 64 images and texts, and two products as large for their gradients */
  assert_true(c.logits_batch == 3 * 2.0 * 64 * 64 * 512);
  /* by hand: patch 768*768+768; class 768; 12 blocks of 12 w² + 13 w; norm 2 w; projection */
  int64_t w = 768, image = w * w + w + w + 12 * (12 * w * w + 13 * w) + 2 * w + w * 512;
  assert_int_equal(c.parameters_image, image);
  w = 512;
  assert_int_equal(c.parameters_text,
                   30523 * w + 32 * w + 12 * (12 * w * w + 13 * w) + 2 * w + w * 512);
  settings_free(&s);
}

/* MAE's decoder (eight blocks of 512) with a masked L/16: 99 tokens in, 197 processed, 98
 * patches of 768 numbers are predicted. */
static void reconstruction_counts_as_by_hand(void **state) {
  (void)state;
  settings s = paper(1024, 24, 16, 768, 12, 768, 0.5);
  model_counts without, with;
  assert_ok(model_count(&s, 30523, OPS_BF16, 0, &without));
  s.reconstruction_weight = 1;
  s.reconstruction_width = 512, s.reconstruction_layers = 8, s.reconstruction_heads = 16;
  assert_ok(model_count(&s, 30523, OPS_BF16, 0, &with));
  double forward = 2.0 * 99 * 1024 * 512 + 8 * (24.0 * 197 * 512 * 512 + 4.0 * 197 * 197 * 512) +
                   2.0 * 98 * 512 * 768;
  int64_t w = 512;
  assert_true(fabs(with.forward_reconstruction - forward) < 1);
  assert_true(fabs(with.train_sample - without.train_sample - 3 * forward) < 1);
  assert_int_equal(with.parameters_reconstruction, /* embedding, mask token, blocks, norm, pixels */
                   1024 * w + w + w + 8 * (12 * w * w + 13 * w) + 2 * w + w * 768 + 768);
  assert_true(with.forward_image == without.forward_image);
  assert_int_equal(with.parameters_image, without.parameters_image);
  assert_int_equal(without.memory.bytes[CLIP_RECONSTRUCTION], 0);
  assert_true(without.forward_reconstruction == 0 && without.parameters_reconstruction == 0);
  assert_true(with.planned_bytes > without.planned_bytes + with.memory.bytes[CLIP_RECONSTRUCTION]);
  /* a larger micro-batch is decoded in chunks: of all its memory only the gradient of the image
   * tower's tokens grows with it, whose chunk it is without chunk_bytes */
  model_counts small, large;
  s.batch_size = 1024;
  assert_ok(model_count(&s, 30523, OPS_BF16, 0, &small));
  s.batch_size = 2048;
  assert_ok(model_count(&s, 30523, OPS_BF16, 0, &large));
  double grown = (double)large.memory.bytes[CLIP_RECONSTRUCTION] -
                 (double)small.memory.bytes[CLIP_RECONSTRUCTION];
  assert_true(fabs(grown / (1024.0 * 99 * 1024 * 2) - 1) < 0.01);
  settings_free(&s);
}

static void vit_l16_masked_by_half_costs_what_the_paper_says(void **state) {
  (void)state;
  settings whole = paper(1024, 24, 16, 768, 12, 768, 0);
  settings half = paper(1024, 24, 16, 768, 12, 768, 0.5);
  model_counts c, m;
  assert_ok(model_count(&whole, 30523, OPS_F32, 0, &c));
  assert_ok(model_count(&half, 30523, OPS_F32, 0, &m));
  double image = 2.0 * 196 * 768 * 1024 + 24 * (24.0 * 197 * 1024 * 1024 + 4.0 * 197 * 197 * 1024) +
                 2.0 * 1024 * 768;
  double masked = 2.0 * 98 * 768 * 1024 + 24 * (24.0 * 99 * 1024 * 1024 + 4.0 * 99 * 99 * 1024) +
                  2.0 * 1024 * 768;
  assert_true(fabs(c.forward_image - image) < 1);
  assert_true(fabs(m.forward_image - masked) < 1);
  assert_int_equal(m.image_tokens, 99);
  assert_true(fabs(m.forward_image_unmasked - c.forward_image) < 1);
  /* both towers: Table 1a's 0.52 within a few hundredths */
  double ratio = m.train_sample / c.train_sample;
  assert_true(ratio > 0.49 && ratio < 0.56);
  settings_free(&whole);
  settings_free(&half);
}

static void masked_text_costs_what_a_shorter_text_costs(void **state) {
  (void)state;
  settings s = paper(768, 12, 12, 512, 8, 512, 0.5);
  model_counts whole, masked, shorter;
  s.text_recompute = 12;
  assert_ok(model_count(&s, 30523, OPS_F32, 0, &whole));
  s.text_mask_mode = TEXT_MASK_RANDOM, s.text_mask_ratio = 0.5;
  assert_ok(model_count(&s, 30523, OPS_F32, 0, &masked));
  s.text_mask_mode = TEXT_MASK_NONE, s.text_mask_ratio = 0, s.text_length = 16;
  assert_ok(model_count(&s, 30523, OPS_F32, 0, &shorter));
  assert_int_equal(masked.text_tokens, 16);
  assert_true(masked.forward_text == shorter.forward_text);
  assert_true(masked.recomputed == shorter.recomputed && masked.recomputed < whole.recomputed);
  assert_true(masked.memory.bytes[CLIP_ACTIVATIONS] == shorter.memory.bytes[CLIP_ACTIVATIONS]);
  assert_true(masked.memory.bytes[CLIP_ACTIVATIONS] < whole.memory.bytes[CLIP_ACTIVATIONS]);
  assert_int_equal(masked.parameters_text, whole.parameters_text); /* 32 positions stay */
  settings_free(&s);
}

/* No text and no other sample: neither tokens nor logits of pairs. */
static void a_classifier_reads_no_text(void **state) {
  (void)state;
  settings s = paper(768, 12, 12, 512, 8, 512, 0);
  model_counts pairs, classes;
  assert_ok(model_count(&s, 30523, OPS_F32, 0, &pairs));
  s.classification_classes = 1000;
  assert_ok(model_count(&s, 0, OPS_F32, 0, &classes));
  assert_int_equal(pairs.text_tokens, 32);
  assert_int_equal(classes.text_tokens, 0);
  assert_true(classes.forward_text == 0 && classes.logits_batch == 0);
  assert_int_equal(classes.parameters_text, 0);
  settings_free(&s);
}

static void a_gradient_cache_plans_less_memory(void **state) {
  (void)state;
  settings s = paper(768, 12, 12, 512, 8, 512, 0);
  model_counts whole, parts;
  s.eval_batch_size = 8;
  assert_ok(model_count(&s, 30523, OPS_F32, 0, &whole));
  s.micro_batch_size = 8;
  assert_ok(model_count(&s, 30523, OPS_F32, 0, &parts));
  assert_true(parts.memory.bytes[CLIP_ACTIVATIONS] * 7 < whole.memory.bytes[CLIP_ACTIVATIONS]);
  assert_true(parts.planned_bytes < whole.planned_bytes);
  s.micro_batch_size = 4 * s.batch_size; /* of all ranks, of which this is one */
  assert_ok(model_count(&s, 30523, OPS_F32, 0, &parts));
  assert_int_equal(parts.planned_bytes, whole.planned_bytes);
  settings_free(&s);
}

/* Two moments of 4 bytes a parameter, or of 2; padding aside. */
static void the_plan_includes_the_optimizers_moments(void **state) {
  (void)state;
  settings s = paper(768, 12, 12, 512, 8, 512, 0);
  for (int bytes = 2; bytes <= 4; bytes += 2) {
    model_counts c;
    s.optimizer_moments = bytes == 2 ? OPTIMIZER_MOMENTS_BF16 : OPTIMIZER_MOMENTS_FP32;
    assert_ok(model_count(&s, 30523, OPS_F32, 0, &c));
    double wanted = 2.0 * bytes * (double)c.parameters_total;
    assert_true((double)c.optimizer_bytes >= wanted && (double)c.optimizer_bytes < 1.001 * wanted);
    assert_int_equal(c.planned_bytes, clip_memory_total(&c.memory) + c.optimizer_bytes);
  }
  settings_free(&s);
}

static void a_published_vocabulary_is_of_its_tokenizer(void **state) {
  (void)state;
  settings s;
  assert_ok(settings_init(&s));
  s.text_tokenizer = TOKENIZER_WORDPIECE; /* bert-base-uncased; CLIP's byte pairs */
  assert_int_equal(model_published_vocabulary(&s), 30522);
  s.text_tokenizer = TOKENIZER_BPE;
  assert_int_equal(model_published_vocabulary(&s), 49408);
  settings_free(&s);
}

/* Nine patches and the class token, width 12, two blocks, by hand: the embedding; queries, keys and
 * values of both blocks and the attention of all ten tokens, whose mean is pooled; the rest of the
 * first block. */
static void scoring_of_patches_is_counted(void **state) {
  (void)state;
  enum { WORDS = 11 };
  settings s;
  model_counts with, without, classed;
  assert_ok(settings_init(&s));
  s.image_size = 12, s.image_patch = 4, s.image_width = 12, s.image_layers = 2, s.image_heads = 3;
  s.image_mlp_ratio = 2, s.mask_ratio = 0.5;
  assert_ok(model_count(&s, WORDS, OPS_F32, 0, &without));
  s.mask_mode = MASK_ATTENTIVE;
  assert_ok(model_count(&s, WORDS, OPS_F32, 0, &with));
  double embedding = 2 * 9 * 48 * 12, qkv = 2 * 10 * 3 * 144, attention = 2 * 10 * 10 * 12;
  double block = 2 * 10 * (144 + 2 * 12 * 24) + 4 * 100 * 12;
  assert_true(fabs(with.forward_scoring - (embedding + 2 * (qkv + attention) + block)) < 1);
  assert_true(fabs(with.train_sample - without.train_sample - with.forward_scoring) < 1);
  assert_true(without.forward_scoring == 0 && without.memory.bytes[CLIP_AVERAGE] == 0);
  assert_true(with.memory.bytes[CLIP_AVERAGE] >= 4 * (size_t)with.parameters_image);
  assert_true(with.planned_bytes >= without.planned_bytes + with.memory.bytes[CLIP_AVERAGE]);
  s.image_pool = IMAGE_POOL_CLASS; /* its attention alone */
  assert_ok(model_count(&s, WORDS, OPS_F32, 0, &classed));
  assert_true(fabs(with.forward_scoring - classed.forward_scoring - 2 * 0.9 * attention) < 1);
  s.mask_ratio = 0; /* nothing to choose */
  assert_ok(model_count(&s, WORDS, OPS_F32, 0, &classed));
  assert_true(classed.forward_scoring == 0 && classed.memory.bytes[CLIP_AVERAGE] == 0);
  settings_free(&s);
}

static void evaluation_needs_no_activations_of_its_own(void **state) {
  (void)state;
  settings s = paper(768, 12, 12, 512, 8, 512, 0);
  model_counts small, large;
  s.eval_batch_size = 1;
  assert_ok(model_count(&s, 30523, OPS_F32, 0, &small));
  s.eval_batch_size = 512;
  assert_ok(model_count(&s, 30523, OPS_F32, 0, &large));
  size_t inputs = large.memory.bytes[CLIP_INPUTS] - small.memory.bytes[CLIP_INPUTS];
  assert_true(large.planned_bytes == small.planned_bytes + inputs);
  s.micro_batch_size = 1; /* evaluation is then the larger use of the same memory */
  assert_ok(model_count(&s, 30523, OPS_F32, 0, &large));
  s.eval_batch_size = 1;
  assert_ok(model_count(&s, 30523, OPS_F32, 0, &small));
  assert_true(large.memory.bytes[CLIP_ACTIVATIONS] > small.memory.bytes[CLIP_ACTIVATIONS]);
  settings_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(vit_b16_counts_as_by_hand),
      cmocka_unit_test(reconstruction_counts_as_by_hand),
      cmocka_unit_test(vit_l16_masked_by_half_costs_what_the_paper_says),
      cmocka_unit_test(masked_text_costs_what_a_shorter_text_costs),
      cmocka_unit_test(a_classifier_reads_no_text),
      cmocka_unit_test(a_gradient_cache_plans_less_memory),
      cmocka_unit_test(the_plan_includes_the_optimizers_moments),
      cmocka_unit_test(a_published_vocabulary_is_of_its_tokenizer),
      cmocka_unit_test(scoring_of_patches_is_counted),
      cmocka_unit_test(evaluation_needs_no_activations_of_its_own),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
