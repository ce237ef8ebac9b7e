/* A run that does not fit into memory is rejected before it starts, with settings that would fit.
 */
#include "support/test.h"

#include "model/count.h"
#include "train/fit.h"

static ops_memory device;

static err memory_of(ops *o, ops_memory *memory) {
  (void)o;
  *memory = device;
  return NULL;
}

/* A device with so much free memory; nothing is allocated or computed on it. */
static ops_table table = {.name = "device", .memory = memory_of};
static ops device_ops = {.call = &table, .compute = OPS_BF16, .master = OPS_F32};

static const fit_memory unknown = {0};

static settings large_settings(void) {
  settings s;
  assert_ok(settings_init(&s));
  static const char *const changes[] = {"image.size=224",  "image.patch=16", "image.width=1024",
                                        "image.layers=24", "image.heads=16", "text.width=768",
                                        "text.layers=12",  "text.heads=12",  "batch_size=1024"};
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
    assert_ok(settings_set(&s, changes[i]));
  return s;
}

static uint64_t planned(const settings *s) {
  model_counts counts;
  assert_ok(model_count(s, BERT_VOCABULARY, OPS_BF16, 0, &counts));
  return counts.planned_bytes;
}

static void enough_memory_is_not_an_error(void **state) {
  (void)state;
  settings s = large_settings();
  uint64_t bytes = planned(&s);
  device = (ops_memory){.free = bytes + bytes / 19 + 20, .total = 2 * bytes};
  assert_ok(fit_check(&s, BERT_VOCABULARY, 1, &device_ops, unknown));
  device.free = bytes; /* nothing would be left for the libraries */
  err error = fit_check(&s, BERT_VOCABULARY, 1, &device_ops, unknown);
  assert_int_equal(err_kind_of(error), ERR_MEMORY);
  err_free(error);
  table.memory = NULL; /* a device that does not say */
  device.free = 1;
  assert_ok(fit_check(&s, BERT_VOCABULARY, 1, &device_ops, unknown));
  table.memory = memory_of;
  settings_free(&s);
}

static void suggested_settings_do_fit(void **state) {
  (void)state;
  settings s = large_settings();
  device = (ops_memory){.free = (uint64_t)40 << 30, .total = (uint64_t)80 << 30};
  err error = fit_check(&s, BERT_VOCABULARY, 1, &device_ops, unknown);
  assert_non_null(error);
  assert_int_equal(err_kind_of(error), ERR_MEMORY);
  const char *message = err_message(error);
  assert_non_null(strstr(message, "40.0 GiB are free"));
  long micro = 0, together = 0;
  assert_int_equal(
      sscanf(strstr(message, "with micro_batch_size: "), "with micro_batch_size: %ld", &micro), 1);
  const char *second = strstr(message, "image.recompute: 24, text.recompute: 12, ");
  assert_non_null(second);
  assert_int_equal(sscanf(strstr(second, "micro_batch_size"), "micro_batch_size: %ld", &together),
                   1);
  s.micro_batch_size = micro;
  assert_true(planned(&s) <= fit_share(device.free));
  s.micro_batch_size = 2 * micro; /* it is the largest */
  assert_true(planned(&s) > fit_share(device.free));
  s.image_recompute = 24, s.text_recompute = 12, s.micro_batch_size = together;
  assert_true(planned(&s) <= fit_share(device.free));
  assert_true(together > micro);
  err_free(error);
  settings_free(&s);
}

/* Halving 1000 leaves what does not divide it, which would be rejected. */
static void a_suggested_micro_batch_divides_the_batch(void **state) {
  (void)state;
  settings s = large_settings(), changed = large_settings();
  assert_ok(settings_set(&s, "batch_size=1000"));
  assert_ok(settings_set(&changed, "batch_size=1000"));
  changed.micro_batch_size = 100; /* the largest divisor below 125 */
  const uint64_t least = planned(&changed);
  device = (ops_memory){.free = least + least / 19 + 20, .total = (uint64_t)80 << 30};
  assert_fails_with(fit_check(&s, BERT_VOCABULARY, 1, &device_ops, unknown),
                    "with micro_batch_size: 100 (");
  settings_free(&s);
  settings_free(&changed);
}

static void weights_that_are_too_large_are_reported(void **state) {
  (void)state;
  settings s = large_settings();
  device = (ops_memory){.free = 1 << 20, .total = (uint64_t)80 << 30};
  err error = fit_check(&s, BERT_VOCABULARY, 1, &device_ops, unknown);
  assert_non_null(error);
  assert_non_null(strstr(err_message(error), "no micro-batch is small enough"));
  err_free(error);
  settings_free(&s);
}

/* Evaluation's batch takes it, whatever the micro-batch. */
static void an_evaluation_that_is_too_large_is_named(void **state) {
  (void)state;
  settings s = large_settings();
  assert_ok(settings_set(&s, "batch_size=2"));
  assert_ok(settings_set(&s, "eval.batch_size=8192"));
  const uint64_t large = planned(&s);
  assert_ok(settings_set(&s, "eval.batch_size=64"));
  const uint64_t small = planned(&s);
  assert_ok(settings_set(&s, "eval.batch_size=8192"));
  assert_true(small < large);
  device = (ops_memory){.free = small + small / 19 + 20, .total = 2 * large};
  err error = fit_check(&s, BERT_VOCABULARY, 1, &device_ops, unknown);
  assert_non_null(error);
  assert_non_null(strstr(err_message(error), "it would fit with eval.batch_size: 64 ("));
  err_free(error);
  settings_free(&s);
}

/* The CPU has the machine's memory, or what a control group leaves of it. */
static void a_run_that_does_not_fit_is_rejected(void **state) {
  (void)state;
  settings s = large_settings();
  fit_memory host = {.bytes = (uint64_t)23 << 30};
  table.memory = NULL;
  err error = fit_check(&s, BERT_VOCABULARY, 1, &device_ops, host);
  assert_non_null(error);
  assert_non_null(
      strstr(err_message(error),
             "GiB of memory, but 23.0 GiB are available: it would fit with micro_batch_size: "));
  err_free(error);
  host.is_group = true;
  assert_fails_with(fit_check(&s, BERT_VOCABULARY, 1, &device_ops, host),
                    "23.0 GiB are available to this control group");
  /* five batches of 1,024 images, and weights and moments once more */
  model_counts counts;
  assert_ok(model_count(&s, BERT_VOCABULARY, OPS_BF16, 0, &counts));
  const model_host_bytes beside = model_beside_plan(&s, &counts);
  assert_true(beside.batches > (uint64_t)5 * 1024 * 3 * 224 * 224);
  assert_true(beside.batches < (uint64_t)5 * 1024 * (3 * 224 * 224 + 1000));
  assert_int_equal(beside.checkpoint, 12 * counts.parameters_total);
  host.bytes = planned(&s) + beside.batches + beside.checkpoint;
  assert_ok(fit_check(&s, BERT_VOCABULARY, 1, &device_ops, host));
  host.bytes--;
  assert_fails_with(fit_check(&s, BERT_VOCABULARY, 1, &device_ops, host),
                    "are available to this control group");
  table.memory = memory_of;
  settings_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(enough_memory_is_not_an_error),
      cmocka_unit_test(suggested_settings_do_fit),
      cmocka_unit_test(a_suggested_micro_batch_divides_the_batch),
      cmocka_unit_test(weights_that_are_too_large_are_reported),
      cmocka_unit_test(an_evaluation_that_is_too_large_is_named),
      cmocka_unit_test(a_run_that_does_not_fit_is_rejected),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
