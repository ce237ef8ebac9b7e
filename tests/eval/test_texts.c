/* What a class of zero-shot classification is compared by: the mean of its prompts, of unit length.
 */
#include "support/folder.h"

#include <math.h>

#include "base/fs.h"
#include "eval/eval.h"
#include "eval/set.h"
#include "eval/texts.h"
#include "model/count.h"
#include "ops/device.h"

enum { TEMPLATES = 3, WIDTH = 8, MOST_CLASSES = 16 };

static void a_class_is_the_mean_of_its_prompts_at_unit_length(void **state) {
  (void)state;
  static const char *const changes[] = {"image.size=16",
                                        "image.patch=4",
                                        "image.width=16",
                                        "image.heads=2",
                                        "image.layers=1",
                                        "text.width=16",
                                        "text.heads=2",
                                        "text.layers=1",
                                        "text.length=10",
                                        "embed_dim=8",
                                        "eval.batch_size=8",
                                        "threads=1",
                                        "text.vocabulary=" FLIP_SOURCE_DIR
                                        "/experiments/vocabularies/scenes2.txt"};
  static const char shapes[] = "name: shapes\nimages: [\"scenes:1#count=60,size=16\"]\n"
                               "tasks: [zeroshot]\nlabel: shape\n"
                               "templates: [\"a {}\", \"a photo of a {}\", \"{} on a wall\"]\n";
  settings s;
  tokenizer *words;
  eval_set *set;
  ops *o;
  clip_model *model;
  clip_config config;
  float classes[MOST_CLASSES * WIDTH], prompts[TEMPLATES * WIDTH];
  assert_ok(settings_init(&s));
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
    assert_ok(settings_set(&s, changes[i]));
  assert_ok(fs_write_atomic("shapes.yaml", shapes, sizeof shapes - 1));
  assert_ok(tokenizer_open_for(&s, &words));
  assert_ok(eval_set_open("shapes.yaml", "zeroshot", &s, words, &set));
  clip_config_from(&s, tokenizer_vocabulary_size(words), &config);
  clip_limits limits = model_limits(&s);
  assert_ok(ops_open_as(&s, PRECISION_FP32, &o));
  assert_ok(clip_create(o, &config, &limits, false, &model));
  assert_ok(clip_initialise(model, 1));
  const eval_how how = {.seed = 1};
  assert_true(set->class_count > 1 && set->class_count <= MOST_CLASSES);
  assert_int_equal(set->template_count, TEMPLATES);
  assert_ok(texts_embed_classes(set, model, &how, classes));
  for (int64_t c = 0; c < set->class_count; c++) {
    double mean[WIDTH] = {0}, square = 0;
    const int64_t first = c * TEMPLATES;
    assert_ok(clip_embed_texts(model, TEMPLATES, set->prompt_ids + first * set->text_length,
                               set->prompt_id_counts + first, prompts));
    for (int k = 0; k < WIDTH; k++) {
      for (int t = 0; t < TEMPLATES; t++) mean[k] += (double)prompts[t * WIDTH + k] / TEMPLATES;
      square += mean[k] * mean[k];
    }
    assert_true(square < 1 - 1e-6); /* the prompts differ */
    for (int k = 0; k < WIDTH; k++) /* roundings of fp32 */
      assert_true(fabs((double)classes[c * WIDTH + k] - mean[k] / sqrt(square)) < 1e-6);
  }
  clip_destroy(model);
  ops_destroy(o);
  eval_set_close(set);
  tokenizer_close(words);
  settings_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_class_is_the_mean_of_its_prompts_at_unit_length,
                                      enter_folder, leave_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
