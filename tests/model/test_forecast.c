/* Predictions for many devices against values computed by hand. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/forecast.h"

enum { RANKS = 256, VOCABULARY = 30522 };

static bool near(double a, double b) {
  return fabs(a - b) <= 1e-9 * fabs(b);
}

/* ViT-L/16 as in Table 1a's third row, for one virtual epoch. */
static void set_up(settings *s) {
  static const char *const changes[] = {
      "image.size=224",  "image.patch=16",        "image.width=1024", "image.heads=16",
      "image.layers=24", "text.width=768",        "text.heads=12",    "text.layers=12",
      "embed_dim=768",   "mask_ratio=0.75",       "batch_size=65536", "micro_batch_size=1024",
      "precision=bf16",  "epoch_samples=1281167", "epochs=1"};
  assert_ok(settings_init(s));
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
    assert_ok(settings_set(s, changes[i]));
}

static forecast_machine machine_of(const device_rates *rates) {
  return (forecast_machine){.rates = rates,
                            .link_bytes_per_second = 50e9,
                            .latency_seconds = 1e-5,
                            .wire = OPS_F32,
                            .has_wire = true};
}

static void open_number(const settings *s, model_counts *c, device_rates *rates) {
  assert_ok(model_count(s, VOCABULARY, OPS_BF16, 0, c));
  assert_ok(rates_open("1000", s, c, rates));
}

/* Seconds of a FLOP at 1,000 samples/s: the step of 65,536 of them, the loss included. */
static double pace_of(const model_counts *c) {
  return 65.536 / (65536 * (c->train_sample + c->recomputed) + 8 * 65536. * 65536 * 768);
}

static void a_step_on_256_devices_is_as_by_hand(void **state) {
  (void)state;
  settings s;
  model_counts c;
  device_rates rates;
  forecast f;
  set_up(&s);
  open_number(&s, &c, &rates);
  forecast_machine m = machine_of(&rates);
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, RANKS, &f));
  assert_int_equal(f.own, 256);
  assert_int_equal(f.micro, 256);
  const int64_t others = RANKS - 1;
  assert_int_equal(f.moved.features, 2 * 256 * 768 * 2 * others); /* bf16 */
  /* the log-sum-exps, and its part of the loss */
  assert_int_equal(f.moved.statistics, 2 * 256 * 4 * others + 4 * others);
  int64_t slice = (c.gradient_elements + RANKS - 1) / RANKS;
  assert_true(c.gradient_elements >= c.parameters_total);
  /* slices are rounded up to a unit */
  assert_true(fabs((double)f.moved.sums / (double)(4 * slice * others) - 1) < 1e-3);
  assert_true(fabs((double)f.moved.gradients / (double)f.moved.sums - 1) < 1e-2);
  const double encode = 256 * c.train_sample * pace_of(&c);
  assert_true(near(f.encode, encode) && encode < 0.256);
  /* three products per direction, of 256 x 65536 x 768, at the towers' FLOP/s */
  assert_true(near(f.loss, 12 * 256. * 65536 * 768 * pace_of(&c)));
  assert_true(f.update == 0); /* part of the rate, not known separately */
  assert_true(near(f.exchange, (double)traffic_total(&f.moved) / 50e9 + (5 + 2) * 255 * 1e-5));
  assert_true(near(f.step, f.encode + f.loss + f.exchange));
  assert_true(near(f.efficiency, 0.256 / f.step));
  assert_true(near(f.device_hours, 19 * f.step * RANKS / 3600));
  assert_true(isnan(f.kwh)); /* nothing is known of its power */
  rates_free(&rates);
  settings_free(&s);
}

static void overlap_hides_gradients_up_to_the_backward_pass(void **state) {
  (void)state;
  settings s;
  model_counts c;
  device_rates rates;
  forecast none, all, tight;
  set_up(&s);
  open_number(&s, &c, &rates);
  forecast_machine m = machine_of(&rates);
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, RANKS, &none));
  m.overlap = 1;
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, RANKS, &all));
  /* 0.17 s of backward pass hide 0.07 s; exchanges before it are not hidden */
  int64_t before = all.moved.features + all.moved.statistics;
  assert_true(near(all.exposed, (double)before / 50e9 + 5 * 255 * 1e-5));
  assert_true(near(none.exposed, none.exchange) && near(all.exchange, none.exchange));
  m.link_bytes_per_second = 5e9; /* now the backward pass is the shorter */
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, RANKS, &tight));
  assert_true(near(tight.exposed, tight.exchange - 256 * c.train_sample * pace_of(&c) * 2 / 3));
  m.most_micro_batch = 64; /* gradients are complete in the last micro-batch's backward pass */
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, RANKS, &all));
  assert_true(near(all.exposed, all.exchange - 64 * c.train_sample * pace_of(&c) * 2 / 3));
  m.most_micro_batch = 0;
  m.wire = OPS_BF16;
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, RANKS, &all));
  assert_int_equal(all.moved.gradients * 2, tight.moved.gradients);
  assert_int_equal(all.moved.sums, tight.moved.sums);
  rates_free(&rates);
  settings_free(&s);
}

/* Four ranks: a rank receives what the three others have. */
static void a_classifiers_ranks_exchange_their_loss_and_gradients(void **state) {
  (void)state;
  const traffic_bytes powers = {1, 10, 100, 1000, 10000, 100000, 1000000};
  traffic_shape shape = {.ranks = 4,
                         .own = 8,
                         .embed = 16,
                         .parameters = 1 << 20,
                         .border = 1 << 20,
                         .bucket = 1 << 18,
                         .has_classes = true,
                         .compute = OPS_BF16,
                         .master = OPS_F32,
                         .wire = OPS_BF16};
  traffic_bytes b = traffic_of(&shape, 0);
  assert_int_equal(traffic_total(&powers), 1111111);
  assert_int_equal(b.features, 0);
  assert_int_equal(b.statistics, 3 * 8); /* a part of the loss is of 8 bytes */
  assert_int_equal(b.gradients, 3 * (1 << 18) * 2);
  assert_int_equal(b.sums, 3 * (1 << 18) * 4);
  assert_int_equal(traffic_total(&b), b.statistics + b.gradients + b.sums);
  shape.has_classes = false;
  b = traffic_of(&shape, 0);
  assert_int_equal(b.features, 2 * 3 * 8 * 16 * 2);
  assert_int_equal(b.statistics, 2 * 3 * 8 * 4 + 3 * 4);
  shape.ranks = 1;
  b = traffic_of(&shape, 0);
  assert_int_equal(traffic_total(&b), 0);
}

/* A machine that holds 128 samples at a time, whatever the settings ask for; 400 W of it. */
static void micro_batches_and_energy_are_the_machines(void **state) {
  (void)state;
  settings s;
  model_counts c;
  device_rates rates;
  forecast f;
  set_up(&s);
  open_number(&s, &c, &rates);
  forecast_machine m = machine_of(&rates);
  rates.watts = 400;
  m.most_micro_batch = 128;
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, RANKS, &f));
  assert_int_equal(f.micro, 128);
  assert_true(near(f.kwh, 19 * f.step * RANKS / 3600 * 0.4));
  assert_ok(settings_set(&s, "micro_batch_size=64"));
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, RANKS, &f));
  assert_int_equal(f.micro, 64);
  assert_ok(settings_set(&s, "micro_batch_size=0"));
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, RANKS, &f));
  assert_int_equal(f.micro, 128);
  m.most_micro_batch = 0;
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, RANKS, &f));
  assert_int_equal(f.micro, 256); /* a rank's batch */
  rates_free(&rates);
  settings_free(&s);
}

static void a_gradient_cache_encodes_twice(void **state) {
  (void)state;
  settings s;
  model_counts c;
  device_rates rates;
  forecast f;
  set_up(&s);
  open_number(&s, &c, &rates);
  forecast_machine m = machine_of(&rates);
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, 1, &f));
  assert_int_equal(f.micro, 1024);
  assert_true(near(f.encode, 65536 * c.train_sample * pace_of(&c) * 4 / 3));
  assert_true(near(f.loss, 8 * 65536. * 65536 * 768 * pace_of(&c)));
  assert_true(f.exchange == 0 && traffic_total(&f.moved) == 0);
  err error = forecast_make(&s, VOCABULARY, 0, &m, 3, &f);
  assert_non_null(strstr(err_message(error), "65536 is not divisible by 3 ranks"));
  err_free(error);
  /* each rank has whole pairs of images that are mixed, as in training */
  assert_ok(settings_set(&s, "batch_size=6"));
  assert_ok(settings_set(&s, "micro_batch_size=0"));
  assert_ok(settings_set(&s, "classification.classes=10"));
  assert_ok(settings_set(&s, "classification.mixup=0.8"));
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, 3, &f));
  error = forecast_make(&s, VOCABULARY, 0, &m, 2, &f);
  assert_non_null(error);
  assert_non_null(strstr(err_message(error), "6 is not divisible by 4; mixup and CutMix"));
  err_free(error);
  rates_free(&rates);
  settings_free(&s);
}

/* A row of `flip bench step --json`: 1,000 samples/s in batches of 256; `more`: further members. */
static void open_row(const model_counts *c, const char *more, device_rates *rates) {
  char path[] = "/tmp/flip-rates-XXXXXX";
  strbuf text = {0};
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  strbuf_format(&text,
                "{\"mask_ratio\":0.75,\"batch_size\":256,\"samples_per_second\":1000,"
                "\"flops_per_second\":%.17g,\"precision\":\"bf16\",%s}\n",
                1000 * c->train_sample, more);
  assert_int_equal(write(fd, text.data, text.length), text.length);
  close(fd);
  assert_ok(rates_open(path, NULL, NULL, rates));
  unlink(path);
  strbuf_free(&text);
}

/* The rate of a run: 2,000 samples/s in batches of 256, and 0.5 J a sample; the loss is 8 B² d. */
static void a_runs_events_give_its_rate_and_power(void **state) {
  (void)state;
  static const char events[] =
      "{\"event\":\"start\",\"settings\":{\"mask_ratio\":0.5,\"batch_size\":256,\"embed_dim\":512},"
      "\"ranks\":1,\"flops_per_sample\":{\"total\":1e9},\"parameters\":{\"total\":1000},"
      "\"precision\":\"bf16\",\"device\":\"cuda\",\"device_name\":\"X\"}\n"
      "{\"event\":\"step\",\"steps\":3,\"energy_joules\":384}\n"
      "{\"event\":\"step\",\"steps\":1}\n"
      "{\"event\":\"step\",\"steps\":1,\"energy_joules\":128}\n"
      "{\"event\":\"end\",\"samples_per_second\":2000}\n";
  char path[] = "/tmp/flip-rates-XXXXXX";
  int fd = mkstemp(path);
  device_rates rates;
  assert_true(fd >= 0);
  assert_int_equal(write(fd, events, strlen(events)), strlen(events));
  close(fd);
  assert_ok(rates_open(path, NULL, NULL, &rates));
  unlink(path);
  assert_int_equal(rates.count, 1);
  assert_true(rates.is_gpu);
  assert_string_equal(rates.device, "X");
  const rate_row *row = &rates.rows[0];
  assert_true(near(row->samples_per_second, 2000));
  assert_true(near(row->mask_ratio, 0.5));
  assert_true(near(row->watts, 0.5 * 2000));
  assert_true(near(row->flop_seconds, 256 / 2000. / (256 * 1e9 + 8 * 256. * 256 * 512)));
  rates_free(&rates);
}

/* Parts that were measured in turns with the step are differences of medians, and may be negative.
 */
static void a_part_of_negative_time_takes_none(void **state) {
  (void)state;
  settings s;
  model_counts c;
  device_rates rates;
  set_up(&s);
  assert_ok(model_count(&s, VOCABULARY, OPS_BF16, 0, &c));
  open_row(&c, "\"parameters\":1000,\"optimizer_seconds\":-0.001,\"loss_seconds\":-0.002", &rates);
  assert_true(rates.rows[0].update_seconds <= 0 && rates.rows[0].update_seconds >= 0);
  assert_true(near(rates.rows[0].flop_seconds, 1 / (1000 * c.train_sample)));
  rates_free(&rates);
  settings_free(&s);
}

/* A rate measured with the cache has the second encoding in it already; a classifier has neither
 * cache nor a loss among samples. */
static void what_was_measured_with_a_cache_is_predicted_with_one(void **state) {
  (void)state;
  settings s;
  model_counts c;
  device_rates rates;
  forecast f;
  set_up(&s);
  assert_ok(settings_set(&s, "batch_size=256"));
  assert_ok(settings_set(&s, "micro_batch_size=64"));
  assert_ok(model_count(&s, VOCABULARY, OPS_BF16, 0, &c));
  for (int has_cache = 0; has_cache < 2; has_cache++) {
    open_row(&c, has_cache ? "\"micro_batch_size\":64" : "\"micro_batch_size\":0", &rates);
    forecast_machine m = machine_of(&rates);
    assert_ok(forecast_make(&s, VOCABULARY, 0, &m, 1, &f));
    assert_true(near(f.encode, has_cache ? 0.256 : 0.256 * 4 / 3));
    assert_ok(settings_set(&s, "classification.classes=10"));
    assert_ok(forecast_make(&s, VOCABULARY, 0, &m, 1, &f));
    const double once = 256 * f.row->flop_seconds;
    model_counts head;
    assert_ok(model_count(&s, 0, OPS_BF16, 0, &head));
    assert_true(near(f.encode, once * head.train_sample) && f.loss == 0);
    assert_ok(settings_set(&s, "classification.classes=0"));
    rates_free(&rates);
  }
  settings_free(&s);
}

/* The cache's first pass has neither the decoder nor the scoring of patches. Of a row measured with
 * the cache, a run without it is as fast as the device, not faster. */
static void a_cache_encodes_only_the_towers_twice(void **state) {
  (void)state;
  settings s;
  model_counts c;
  device_rates rates;
  forecast f;
  set_up(&s);
  assert_ok(settings_set(&s, "batch_size=256"));
  assert_ok(settings_set(&s, "micro_batch_size=64"));
  assert_ok(settings_set(&s, "reconstruction.weight=1"));
  assert_ok(settings_set(&s, "mask_mode=attentive"));
  assert_ok(settings_check_step(&s));
  assert_ok(model_count(&s, VOCABULARY, OPS_BF16, 0, &c));
  const double towers = c.forward_image + c.forward_text;
  assert_true(c.train_sample > 3.01 * towers);
  open_row(&c, "\"micro_batch_size\":0", &rates);
  forecast_machine m = machine_of(&rates);
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, 1, &f));
  assert_true(near(f.encode, 0.256 * (c.train_sample + towers) / c.train_sample));
  rates_free(&rates);
  char more[96];
  snprintf(more, sizeof more, "\"micro_batch_size\":64,\"encode_flops_per_sample\":%.17g", towers);
  open_row(&c, more, &rates);
  m = machine_of(&rates);
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, 1, &f));
  assert_true(near(f.encode, 0.256));
  assert_ok(settings_set(&s, "micro_batch_size=0"));
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, 1, &f));
  assert_true(near(f.encode, 0.256 * c.train_sample / (c.train_sample + towers)));
  assert_true(near(f.efficiency, f.encode / f.step)); /* the loss was not part of the row */
  rates_free(&rates);
  settings_free(&s);
}

static void measured_rows_are_taken_where_they_are_nearest(void **state) {
  (void)state;
  settings s;
  device_rates h100, a100;
  forecast f, scaled;
  set_up(&s);
  assert_ok(rates_open("h100", NULL, NULL, &h100));
  assert_ok(rates_open("a100", NULL, NULL, &a100));
  assert_int_equal(h100.count, 6);
  /* one row has 1,311 W for a card limited to 700 W */
  assert_int_equal(h100.impossible, 1);
  forecast_machine m = machine_of(&h100), n = machine_of(&a100);
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, RANKS, &f));
  assert_string_equal(f.row->model, "ViT-L/16");
  assert_true(f.row->mask_ratio == 0.75);
  /* 3,691 samples/s at a batch of 256 are 69.4 ms a step, of which 5.4 are the update */
  assert_true(fabs(f.encode + f.update - 256 / 3690.88) < 3e-4);
  assert_true(fabs(f.update - 0.0054) < 1e-4);
  assert_true(fabs(f.watts - 0.1950625 * 3690.88) < 0.1);
  assert_ok(forecast_make(&s, VOCABULARY, 0, &n, RANKS, &scaled));
  assert_true(near(scaled.encode * 0.3153, f.encode) && near(scaled.update * 0.3153, f.update));
  assert_true(scaled.watts == 400); /* its limit: the H100's energy is not its own */
  rates_free(&h100);
  rates_free(&a100);
  settings_free(&s);
}

/* Of rows of as many FLOPs the one of the nearer mask, whatever their order. */
static void of_equal_rows_the_nearer_mask_is_taken(void **state) {
  (void)state;
  rate_row rows[] = {{.mask_ratio = 0, .flops_per_sample = 100},
                     {.mask_ratio = 0.75, .flops_per_sample = 100},
                     {.mask_ratio = 0.5, .flops_per_sample = 300}};
  const device_rates rates = {.rows = rows, .count = 3};
  assert_ptr_equal(rates_nearest(&rates, rows[0].precision, 100, 0.7), &rows[1]);
  assert_ptr_equal(rates_nearest(&rates, rows[0].precision, 100, 0.2), &rows[0]);
  assert_ptr_equal(rates_nearest(&rates, rows[0].precision, 290, 0.2), &rows[2]);
}

/* A step measured with all blocks recomputed, as it is predicted with and without. */
static void recomputed_blocks_take_their_time(void **state) {
  (void)state;
  settings s, again;
  model_counts c, more;
  device_rates rates;
  forecast f;
  set_up(&s);
  set_up(&again);
  assert_ok(settings_set(&again, "image.recompute=blocks"));
  assert_ok(settings_set(&again, "text.recompute=6")); /* of 12 */
  open_number(&s, &c, &rates);
  forecast_machine m = machine_of(&rates);
  assert_true(c.recomputed == 0);
  assert_ok(model_count(&again, VOCABULARY, OPS_BF16, 0, &more));
  /* 24 blocks of 50 tokens, 1024 wide: all products but the last; 6 of 32 tokens, 768 wide */
  const double image = 24 * (2 * 50. * 8 * 1024 * 1024 + 4 * 50. * 50 * 1024);
  const double text = 6 * (2 * 32. * 8 * 768 * 768 + 4 * 32. * 32 * 768);
  assert_true(near(more.recomputed, image + text));
  assert_true(near(more.train_sample, c.train_sample));
  assert_ok(forecast_make(&again, VOCABULARY, 0, &m, RANKS, &f));
  assert_true(near(f.encode, 256 * (c.train_sample + more.recomputed) * pace_of(&c)));
  assert_ok(forecast_make(&again, VOCABULARY, 0, &m, 1, &f)); /* with the cache */
  assert_true(near(f.encode, 65536 * (c.train_sample * 4 / 3 + more.recomputed) * pace_of(&c)));
  rates_free(&rates);
  open_number(&again, &more, &rates); /* the rate is of these settings */
  assert_ok(forecast_make(&again, VOCABULARY, 0, &m, RANKS, &f));
  const double encode = 256 * (more.train_sample + more.recomputed) * pace_of(&more);
  assert_true(near(f.encode, encode) && encode < 0.256);
  assert_true(near(f.efficiency, 0.256 / f.step)); /* it was measured with them */
  rates_free(&rates);
  settings_free(&s);
  settings_free(&again);
}

/* An fp32 product is 16 times slower than one in bf16 on an H100: no proportion helps. */
static void another_precision_is_not_predicted(void **state) {
  (void)state;
  settings s;
  device_rates rates;
  forecast f;
  set_up(&s);
  assert_ok(rates_open("h100", NULL, NULL, &rates));
  assert_true(rates.is_gpu);
  forecast_machine m = machine_of(&rates);
  static const char *const others[] = {"precision=fp32", "precision=fp8"};
  for (int i = 0; i < 2; i++) {
    assert_ok(settings_set(&s, others[i]));
    err error = forecast_make(&s, VOCABULARY, 0, &m, RANKS, &f);
    assert_non_null(strstr(err_message(error), "no row of the rates was measured in it"));
    assert_non_null(strstr(err_message(error), "or set 'precision: bf16'"));
    err_free(error);
  }
  assert_ok(settings_set(&s, "precision=auto"));
  assert_ok(forecast_make(&s, VOCABULARY, 0, &m, RANKS, &f));
  rates_free(&rates);
  settings_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_step_on_256_devices_is_as_by_hand),
      cmocka_unit_test(overlap_hides_gradients_up_to_the_backward_pass),
      cmocka_unit_test(a_classifiers_ranks_exchange_their_loss_and_gradients),
      cmocka_unit_test(micro_batches_and_energy_are_the_machines),
      cmocka_unit_test(a_gradient_cache_encodes_twice),
      cmocka_unit_test(what_was_measured_with_a_cache_is_predicted_with_one),
      cmocka_unit_test(a_cache_encodes_only_the_towers_twice),
      cmocka_unit_test(a_runs_events_give_its_rate_and_power),
      cmocka_unit_test(a_part_of_negative_time_takes_none),
      cmocka_unit_test(recomputed_blocks_take_their_time),
      cmocka_unit_test(another_precision_is_not_predicted),
      cmocka_unit_test(measured_rows_are_taken_where_they_are_nearest),
      cmocka_unit_test(of_equal_rows_the_nearer_mask_is_taken),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
