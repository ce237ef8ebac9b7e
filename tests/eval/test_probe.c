/* The linear probe by LARS as a whole against the same updates made by hand, from the parts that
 * have tests of their own: augmented features, LARS's step, its schedule. */
#include "support/folder.h"

#include <math.h>

#include "base/fs.h"
#include "base/rng.h"
#include "eval/eval.h"
#include "eval/lars.h"
#include "model/count.h"
#include "ops/device.h"

enum { TRAIN = 60, TEST = 40, EPOCHS = 4, BATCH = 16, WIDTH = 8, SEED = 5 };
static const double rate = 0.64;

static eval_set *open_set(const char *name, const char *images, const settings *s) {
  strbuf text = {0}, path = {0};
  eval_set *set;
  strbuf_format(&text, "name: %s\nimages: [\"%s\"]\ntasks: [probe]\nlabel: color\n", name, images);
  strbuf_format(&path, "%s.yaml", name);
  assert_ok(fs_write_atomic(strbuf_string(&path), text.data, text.length));
  assert_ok(eval_set_open(strbuf_string(&path), "probe", s, NULL, &set));
  strbuf_free(&text);
  strbuf_free(&path);
  return set;
}

static clip_model *make_model(settings *s, ops **o) {
  static const char *const changes[] = {"image.size=16", "image.patch=4",     "image.width=16",
                                        "image.heads=2", "image.layers=1",    "text.width=16",
                                        "text.heads=2",  "text.layers=1",     "text.length=4",
                                        "embed_dim=8",   "eval.batch_size=8", "threads=1"};
  clip_config config;
  clip_model *model;
  assert_ok(settings_init(s));
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
    assert_ok(settings_set(s, changes[i]));
  clip_config_from(s, 10, &config);
  clip_limits limits = model_limits(s);
  assert_ok(ops_open_as(s, PRECISION_FP32, o));
  assert_ok(clip_create(*o, &config, &limits, false, &model));
  assert_ok(clip_initialise(model, 1));
  return model;
}

/* The order of an epoch: Fisher and Yates's shuffle, from the end. */
static void shuffle(int64_t epoch, int64_t count, int64_t *order) {
  rng random = rng_at(SEED, RNG_SHUFFLE, (uint64_t)epoch, 0);
  for (int64_t i = 0; i < count; i++) order[i] = i;
  for (int64_t i = count - 1; i > 0; i--) {
    int64_t other = rng_below(&random, (uint32_t)i + 1), kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
}

/* Three batches of 16 of 60 rows an epoch; the warm-up is a ninth of the epochs. Returns the mean
 * loss of the last one. */
static double fit_by_hand(eval_set *set, clip_model *model, const eval_how *how, lars_probe *p) {
  float rows[TRAIN * WIDTH], batch[BATCH * WIDTH];
  int32_t labels[TRAIN], own[BATCH];
  int64_t order[TRAIN], count;
  double sum = 0, loss;
  assert_ok(lars_begin(eval_set_classes(set), WIDTH, BATCH, SEED, p));
  for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
    assert_ok(eval_features_augmented(set, model, how, epoch, rows, labels, &count));
    assert_int_equal(count, TRAIN);
    shuffle(epoch, count, order);
    sum = 0;
    for (int64_t u = 0; u < TRAIN / BATCH; u++) {
      for (int64_t i = 0; i < BATCH; i++) {
        memcpy(batch + i * WIDTH, rows + order[u * BATCH + i] * WIDTH, WIDTH * sizeof *rows);
        own[i] = labels[order[u * BATCH + i]];
      }
      const double at = (double)epoch + (double)u / 3;
      const double share = at < EPOCHS / 9.
                               ? at * 9 / EPOCHS
                               : 0.5 * (1 + cos(acos(-1) * (at - EPOCHS / 9.) / (EPOCHS * 8 / 9.)));
      assert_ok(lars_step(p, batch, own, BATCH, rate * share, &loss));
      sum += loss;
    }
  }
  return sum / 3;
}

static void the_probe_is_its_epochs_of_lars(void **state) {
  (void)state;
  settings s;
  ops *o;
  clip_model *model = make_model(&s, &o);
  eval_set *train = open_set("train", "scenes:1#count=60,size=20", &s);
  eval_set *test = open_set("test", "scenes:1#split=heldout,count=40,size=20", &s);
  const eval_how how = {.seed = SEED};
  const eval_lars recipe = {.epochs = EPOCHS, .batch = BATCH};
  float rows[TEST * WIDTH];
  int32_t labels[TEST], predicted[TEST];
  int64_t count, right = 0;
  lars_probe by_hand;
  eval_probe p;
  assert_ok(eval_run_lars(train, test, model, &how, &recipe, &p));
  const double loss = fit_by_hand(train, model, &how, &by_hand);
  assert_true(fabs(p.loss - loss) < 1e-12 * loss);
  assert_ok(eval_features(test, model, &how, rows, labels, &count));
  lars_predict(&by_hand, rows, count, predicted);
  for (int64_t i = 0; i < count; i++)
    right += strcmp(eval_set_label(test, labels[i]), eval_set_label(train, predicted[i])) == 0;
  assert_true(fabs(p.top1 - (double)right / (double)p.test_images) < 1e-12);
  assert_int_equal(p.train_images, TRAIN);
  lars_end(&by_hand);
  eval_set_close(train);
  eval_set_close(test);
  clip_destroy(model);
  ops_destroy(o);
  settings_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(the_probe_is_its_epochs_of_lars, enter_folder, leave_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
