/* A run of the trainer against the same updates made by hand, from the parts that have tests of
 * their own: the loader's batches in order, the masks or the mixtures of their samples, the
 * schedule's rates. The same ops in the same order: the same bits. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "eval/eval.h"
#include "model/count.h"
#include "model/mask.h"
#include "ops/device.h"
#include "read/loader.h"
#include "support/folder.h"
#include "train/attentive.h"
#include "train/checkpoint.h"
#include "train/mix.h"
#include "train/step.h"
#include "train/trainer.h"

enum { BATCH = 8, UPDATES = 6, WARM_UP = 2, SEED = 3 };

/* What both need. */
typedef struct {
  settings s;
  tokenizer *words; /* of pairs, and their data; or NULL */
  dataset *data;
  eval_set *labelled; /* a classifier's; or NULL */
  ops *o;
} rig;

static void set(settings *s, const char *const *changes, size_t count) {
  for (size_t i = 0; i < count; i++) assert_ok(settings_set(s, changes[i]));
}

static void make(rig *r, const char *const *changes, size_t count) {
  static const char *const common[] = {"image.size=16",
                                       "image.patch=4",
                                       "image.width=16",
                                       "image.heads=2",
                                       "image.layers=2",
                                       "batch_size=8",
                                       "samples=48",
                                       "warmup_samples=16",
                                       "learning_rate=0.01",
                                       "data.crop_min=0.3",
                                       "data.crop_max=0.8",
                                       "data.ratio_min=0.6",
                                       "data.ratio_max=1.2",
                                       "data.flip=true",
                                       "data.workers=2",
                                       "threads=1",
                                       "precision=fp32",
                                       "device=cpu",
                                       "seed=3",
                                       "eval.points=0",
                                       "eval.batch_size=8"};
  ops_opened opened;
  *r = (rig){.o = NULL};
  assert_ok(settings_init(&r->s));
  set(&r->s, common, sizeof common / sizeof *common);
  set(&r->s, changes, count);
  assert_ok(settings_check(&r->s));
  assert_ok(ops_open(&r->s, &opened));
  r->o = opened.o;
}

static void make_pairs(rig *r, const char *const *changes, size_t count) {
  make(r, changes, count);
  assert_ok(tokenizer_open_for(&r->s, &r->words));
  assert_ok(dataset_open(r->s.data_train.items, r->s.data_train.count, &r->data));
}

static void unmake(rig *r) {
  eval_set_close(r->labelled);
  if (r->data) dataset_close(r->data);
  if (r->words) tokenizer_close(r->words);
  ops_destroy(r->o);
  settings_free(&r->s);
}

static clip_model *make_model(const rig *r) {
  clip_model *model;
  clip_config config;
  clip_limits limits = model_limits(&r->s);
  clip_config_from(&r->s, r->words ? tokenizer_vocabulary_size(r->words) : 0, &config);
  assert_ok(clip_create(r->o, &config, &limits, true, &model));
  return model;
}

/* As data.* and text.* describe it. */
static loader *open_pairs(const rig *r) {
  const settings *s = &r->s;
  const loader_config c = {.data = r->data,
                           .words = r->words,
                           .batch_size = BATCH,
                           .total_samples = BATCH * UPDATES,
                           .image_size = 16,
                           .text_length = 10,
                           .text_tokens = settings_text_tokens(s),
                           .text_mask_mode = s->text_mask_mode,
                           .text_mask_is_in_place = settings_masks_in_place(s),
                           .seed = SEED,
                           .crop_min = 0.3,
                           .crop_max = 0.8,
                           .ratio_min = 0.6,
                           .ratio_max = 1.2,
                           .flip = true,
                           .shuffle = true,
                           .workers = 1,
                           .prefetch = 1};
  loader *batches;
  assert_ok(loader_open(&c, 0, NULL, &batches));
  return batches;
}

/* Update k has the rate of k updates before it, sample g of the run the mask and the noise of g. */
static void update_by_hand(const rig *r, const mask_config *mask, clip_model *model) {
  int64_t encoded = mask_encoded_count(mask);
  int32_t *index = malloc((size_t)(BATCH * encoded) * sizeof *index);
  loader *batches = open_pairs(r);
  bool is_attentive = mask->mode == MASK_ATTENTIVE;
  attentive chooser;
  optimizer moments;
  train_step step;
  assert_non_null(index);
  assert_ok(clip_initialise(model, SEED));
  if (is_attentive) assert_ok(clip_average_begin(model));
  if (is_attentive) assert_ok(attentive_make(&chooser, &r->s, model, BATCH));
  assert_ok(optimizer_create_for(model, &r->s, NULL, &moments));
  step_open(&step, &r->s, model, &moments, encoded, NULL);
  for (int64_t k = 0; k < UPDATES; k++) {
    loader_batch b;
    step_result result;
    double waited;
    assert_ok(loader_next(batches, &b, &waited));
    if (is_attentive) /* by the average tower, which the last update has moved */
      assert_ok(
          attentive_choose(&chooser, BATCH, b.images, attentive_momentum(0.5, k, UPDATES), index));
    else
      assert_ok(mask_draw(mask, SEED, k * BATCH, BATCH, index));
    const clip_inputs in = {.count = BATCH,
                            .images = b.images,
                            .index = index,
                            .ids = b.tokens,
                            .places = b.token_places,
                            .id_counts = b.token_counts,
                            .first_sample = k * BATCH};
    assert_ok(step_stage(&step, &in));
    assert_ok(step_launch(&step, &in, k + 1, schedule_rate(0.01, k, WARM_UP, UPDATES)));
    assert_ok(step_finish(&step, &result));
    assert_true(isfinite(result.loss));
  }
  if (is_attentive) attentive_free(&chooser);
  step_close(&step);
  optimizer_destroy(&moments);
  loader_close(batches);
  free(index);
}

static void assert_same_weights(const clip_model *a, const clip_model *b) {
  const param_table *table = clip_params(a);
  const float *x = clip_weights(a)->master.data, *y = clip_weights(b)->master.data;
  for (size_t i = 0; i < table->count; i++) {
    const param *p = &table->items[i];
    if (memcmp(x + p->offset, y + p->offset, (size_t)param_elements(p) * sizeof *x) != 0)
      fail_msg("%s differs", p->name);
  }
}

/* The weights of a whole run. */
static clip_model *train(const rig *r) {
  const trainer_options options = {.out = "run", .began = clock_seconds()};
  char *path;
  clip_model *trained = make_model(r);
  assert_ok(trainer_run(&r->s, &options));
  assert_ok(checkpoint_newest_of_run("run", &path));
  assert_ok(checkpoint_load(path, trained, NULL));
  free(path);
  return trained;
}

static void check(const mask_config *mask, const char *const *changes, size_t count) {
  static const char *const pairs[] = {"text.width=16",
                                      "text.heads=2",
                                      "text.layers=1",
                                      "text.length=10",
                                      "embed_dim=8",
                                      "data.train=[\"scenes:1#count=20,size=24\"]",
                                      "text.vocabulary=" FLIP_SOURCE_DIR
                                      "/experiments/vocabularies/scenes2.txt"};
  const char *all[32];
  rig r;
  size_t used = sizeof pairs / sizeof *pairs;
  assert_true(used + count <= 32);
  memcpy(all, pairs, sizeof pairs);
  memcpy(all + used, changes, count * sizeof *changes);
  make_pairs(&r, all, used + count);
  clip_model *trained = train(&r), *made = make_model(&r);
  update_by_hand(&r, mask, made);
  assert_same_weights(made, trained);
  clip_destroy(trained);
  clip_destroy(made);
  unmake(&r);
}

static void a_run_is_its_batches_masks_and_rates(void **state) {
  (void)state;
  static const char *const changes[] = {"mask_ratio=0.5"};
  check(&(mask_config){MASK_RANDOM, 0.5, 4, false}, changes, 1);
}

static void an_attentive_run_chooses_by_an_average_that_slows_down(void **state) {
  (void)state;
  static const char *const changes[] = {"mask_mode=attentive", "mask_ratio=0.5",
                                        "attentive.momentum=0.5", "attentive.cell=1"};
  check(&(mask_config){MASK_ATTENTIVE, 0.5, 4, false}, changes, 4);
}

/* What only some runs have: noise and words that are the sample's, patches dropped with
 * replacement, micro-batches. */
static void a_run_with_noise_is_its_batches_masks_and_rates(void **state) {
  (void)state;
  static const char *const changes[] = {"mask_mode=zero",        "mask_ratio=0.5",
                                        "mask_replacement=true", "image.dropout=0.1",
                                        "text.dropout=0.2",      "text_mask_mode=random",
                                        "text_mask_ratio=0.4",   "text_mask_positions=original",
                                        "micro_batch_size=4"};
  check(&(mask_config){MASK_ZERO, 0.5, 4, true}, changes, sizeof changes / sizeof *changes);
}

/* ---- a classifier ---- */

static loader *open_images(const rig *r, const int64_t *rows, int64_t count,
                           const clip_config *config) {
  loader_config c = {.data = eval_set_data(r->labelled),
                     .batch_size = BATCH,
                     .mirrored = 4,
                     .total_samples = BATCH * UPDATES,
                     .image_size = 16,
                     .seed = SEED,
                     .crop_min = 0.3,
                     .crop_max = 0.8,
                     .ratio_min = 0.6,
                     .ratio_max = 1.2,
                     .flip = true,
                     .shuffle = true,
                     .rows = rows,
                     .row_count = count,
                     .augment = {.magnitude = 9, .deviation = 0.5, .operations = 2},
                     .workers = 1,
                     .prefetch = 1};
  loader *batches;
  for (int i = 0; i < 3; i++) c.augment.fill[i] = (uint8_t)lrint(255 * (double)config->mean[i]);
  assert_ok(loader_open(&c, 0, NULL, &batches));
  return batches;
}

/* An update by hand, of sample numbers in the run: sample i of a group of four is mixed with the
 * one as far from its end, with the share of their group. */
static void update_of_images(train_step *step, const loader_batch *b, const rig *r, int64_t k) {
  enum { PIXELS = 16 * 16 * 3 };
  mix mixes[BATCH];
  uint8_t mixed[BATCH * PIXELS];
  int32_t labels[BATCH], index[BATCH * 16];
  double shares[BATCH];
  step_result result;
  for (int i = 0; i < BATCH * 16; i++) index[i] = i % 16;
  for (int64_t i = 0; i < BATCH; i++) {
    mixes[i] = mix_draw(&r->s, k, b->numbers[i] % BATCH / 4);
    labels[i] = eval_set_class_of(r->labelled, b->rows[i]);
    shares[i] = mixes[i].share;
  }
  mix_images(mixes, BATCH, b->images, mixed);
  const clip_targets targets = {
      .count = BATCH, .labels = labels, .shares = shares, .smoothing = 0.1};
  const clip_inputs in = {.count = BATCH,
                          .images = mixed,
                          .index = index,
                          .first_sample = k * BATCH,
                          .numbers = b->numbers};
  step->targets = &targets;
  assert_ok(step_stage(step, &in));
  assert_ok(step_launch(step, &in, k + 1, schedule_rate(0.01, k, WARM_UP, UPDATES)));
  assert_ok(step_finish(step, &result));
  assert_true(isfinite(result.loss));
}

static void a_classifiers_run_is_its_mixtures_and_rates(void **state) {
  (void)state;
  static const char *const changes[] = {"classification.train=labelled.yaml",
                                        "classification.classes=10",
                                        "classification.label_smoothing=0.1",
                                        "classification.mixup=0.8",
                                        "classification.cutmix=1",
                                        "classification.mix_batch=4",
                                        "classification.layer_decay=0.75",
                                        "classification.drop_path=0.2",
                                        "classification.augment_magnitude=9",
                                        "micro_batch_size=4"};
  static const char labelled[] = "name: labelled\nimages: [\"scenes:1#count=160,size=24\"]\n"
                                 "tasks: [probe]\nlabel: color\n";
  int64_t rows[160], count = 0;
  optimizer moments;
  train_step step;
  rig r;
  assert_ok(fs_write_atomic("labelled.yaml", labelled, sizeof labelled - 1));
  make(&r, changes, sizeof changes / sizeof *changes);
  assert_ok(eval_set_open("labelled.yaml", "probe", &r.s, NULL, &r.labelled));
  assert_int_equal(eval_set_rows(r.labelled), 160);
  for (int64_t row = 0; row < 160; row++)
    if (eval_set_class_of(r.labelled, row) >= 0) rows[count++] = row;
  clip_model *trained = train(&r), *made = make_model(&r);
  assert_ok(clip_initialise(made, SEED));
  assert_ok(optimizer_create_for(made, &r.s, NULL, &moments));
  step_open(&step, &r.s, made, &moments, 16, NULL);
  loader *batches = open_images(&r, rows, count, clip_get_config(made));
  for (int64_t k = 0; k < UPDATES; k++) {
    loader_batch b;
    double waited;
    assert_ok(loader_next(batches, &b, &waited));
    update_of_images(&step, &b, &r, k);
  }
  assert_same_weights(made, trained);
  step_close(&step);
  optimizer_destroy(&moments);
  loader_close(batches);
  clip_destroy(trained);
  clip_destroy(made);
  unmake(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_run_is_its_batches_masks_and_rates, enter_folder,
                                      leave_folder),
      cmocka_unit_test_setup_teardown(a_run_with_noise_is_its_batches_masks_and_rates, enter_folder,
                                      leave_folder),
      cmocka_unit_test_setup_teardown(a_classifiers_run_is_its_mixtures_and_rates, enter_folder,
                                      leave_folder),
      cmocka_unit_test_setup_teardown(an_attentive_run_chooses_by_an_average_that_slows_down,
                                      enter_folder, leave_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
